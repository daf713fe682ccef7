import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { BerthError } from '../../protocol/errors.ts';
import { templateName } from '../../protocol/templates-api.ts';
import { ensureDefaultTemplate } from './default-template.ts';

/** The immutable file system that sandboxes start from. Every local driver makes what it needs of this: a lower directory, an image. */
export interface Template {
  name: string;
  /** Content hash. A sandbox keeps the version it was made with. */
  version: string;
  /** A whole root file system but for `binds`. Files are shared with other templates by hard link: to be read only. */
  rootfs: string;
  /** Directories of the host shown in it, read-only. */
  binds: readonly TemplateBind[];
  /** Environment of its sandboxes, below what Berth sets. */
  env: Readonly<Record<string, string>>;
}

export interface TemplateBind {
  source: string;
  destination: string;
}

export const defaultTemplateName = 'default';
export const templateManifestName = 'template.json';

export const templateManifest = z.object({
  binds: z.array(z.object({ source: z.string().startsWith('/'), destination: z.string().startsWith('/') })).default([]),
  env: z.record(z.string(), z.string()).default({}),
  /** SHA-256 of the layers' archives, the lowest first. */
  layers: z.array(z.string()).default([]),
  from: z.string().nullable().default(null),
  sizeBytes: z.number().nullable().default(null),
  createdAt: z.string().nullable().default(null),
});
export type TemplateManifest = z.infer<typeof templateManifest>;

/**
 * Templates live at `<directory>/<name>/<version>/` with `template.json` and `rootfs/`; the file
 * `current` beside names the version that new sandboxes take. Names with a dot are the workshop's own.
 */
export interface Templates {
  /** The version in use now; the default template is made at first need. Throws `not_found`. */
  current(name: string): Promise<Template>;
  /** Whether `current` would find it. Makes nothing. */
  has(name: string): boolean;
  /** One that a sandbox was made with. Throws `not_found`. */
  version(name: string, version: string): Promise<Template>;
  /** All that are there, the older ones of each name too. */
  versions(): Promise<Pick<Template, 'name' | 'version'>[]>;
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

  const has = (name: string) =>
    name === defaultTemplateName || (templateName.safeParse(name).success && existsSync(join(directory, name, 'current')));

  return {
    has,
    async current(name) {
      if (!has(name)) throw noTemplate(name);
      if (name === defaultTemplateName) {
        await mkdir(join(directory, name), { recursive: true, mode: 0o755 });
        defaultVersion ??= ensureDefaultTemplate(join(directory, name)).catch((error: unknown) => {
          defaultVersion = null;
          throw error;
        });
        return read(name, await defaultVersion);
      }
      return read(name, (await readFile(join(directory, name, 'current'), 'utf8')).trim());
    },
    version: read,
    async versions() {
      const names = existsSync(directory) ? (await readdir(directory)).filter((name) => templateName.safeParse(name).success) : [];
      const found = names.map(async (name) => {
        const entries = await readdir(join(directory, name), { withFileTypes: true });
        return entries.filter((entry) => entry.isDirectory()).map((entry) => ({ name, version: entry.name }));
      });
      return (await Promise.all(found)).flat();
    },
  };
}

export function noTemplate(name: string, why?: string): BerthError {
  const message = `there is no template ${JSON.stringify(name)}${why === undefined ? '' : `: ${why}`}`;
  return new BerthError('not_found', message, { field: 'template' });
}

export async function readManifest(path: string): Promise<TemplateManifest | null> {
  const manifest = join(path, templateManifestName);
  return existsSync(manifest) ? templateManifest.parse(JSON.parse(await readFile(manifest, 'utf8'))) : null;
}

async function readTemplate(path: string, name: string, version: string): Promise<Template> {
  const manifest = await readManifest(path);
  if (manifest === null) {
    throw new BerthError('not_found', `version ${version} of template "${name}" is gone`, { field: 'template' });
  }
  return { name, version, rootfs: join(path, 'rootfs'), binds: manifest.binds, env: manifest.env };
}
