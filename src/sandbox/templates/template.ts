import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { BerthError } from '../../protocol/errors.ts';
import { ensureDefaultTemplate } from './default-template.ts';

/** The immutable file system that sandboxes start from. */
export interface Template {
  name: string;
  /** Content hash. A sandbox keeps the version it was made with. */
  version: string;
  /** A whole root file system but for `binds`. */
  rootfs: string;
  /** Directories of the host shown in it, read-only. */
  binds: readonly TemplateBind[];
}

export interface TemplateBind {
  source: string;
  destination: string;
}

export const defaultTemplateName = 'default';
export const templateManifestName = 'template.json';
const namePattern = /^[a-z0-9][a-z0-9._-]{0,62}$/;

export const templateManifest = z.object({
  binds: z.array(z.object({ source: z.string().startsWith('/'), destination: z.string().startsWith('/') })).default([]),
});

/**
 * Templates live at `<directory>/<name>/<version>/` with `template.json` and `rootfs/`; the file
 * `current` beside names the version that new sandboxes take.
 */
export interface Templates {
  /** The version in use now; the default template is made at first need. Throws `not_found`. */
  current(name: string): Promise<Template>;
  /** One that a sandbox was made with. Throws `not_found`. */
  version(name: string, version: string): Promise<Template>;
}

export function createTemplates(directory: string): Templates {
  let defaultVersion: Promise<string> | null = null;
  const known = new Map<string, Template>();

  async function read(name: string, version: string): Promise<Template> {
    const key = `${name}/${version}`;
    let template = known.get(key);
    if (template === undefined) {
      template = await readTemplate(join(directory, name, version), name, version);
      known.set(key, template);
    }
    return template;
  }

  return {
    async current(name) {
      if (!namePattern.test(name)) {
        throw new BerthError('not_found', `there is no template ${JSON.stringify(name)}`, { field: 'template' });
      }
      if (name === defaultTemplateName) {
        await mkdir(join(directory, name), { recursive: true, mode: 0o755 });
        defaultVersion ??= ensureDefaultTemplate(join(directory, name)).catch((error: unknown) => {
          defaultVersion = null;
          throw error;
        });
        return read(name, await defaultVersion);
      }
      const pointer = join(directory, name, 'current');
      if (!existsSync(pointer))
        throw new BerthError('not_found', `there is no template "${name}"`, { field: 'template' });
      return read(name, (await readFile(pointer, 'utf8')).trim());
    },
    version: read,
  };
}

async function readTemplate(path: string, name: string, version: string): Promise<Template> {
  const manifest = join(path, templateManifestName);
  if (!existsSync(manifest)) {
    throw new BerthError('not_found', `version ${version} of template "${name}" is gone`, { field: 'template' });
  }
  const { binds } = templateManifest.parse(JSON.parse(await readFile(manifest, 'utf8')));
  return { name, version, rootfs: join(path, 'rootfs'), binds };
}
