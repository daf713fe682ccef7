import type Docker from 'dockerode';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from '../../run-command.ts';
import { noTemplate, type Template, type TemplateBind, type Templates } from '../../templates/template.ts';
import { engineCall, findInEngine, settleInEngine } from './engine.ts';
import { labels, templateRepository } from './names.ts';

export interface ImageTemplate {
  name: string;
  version: string;
  /** The image's id. */
  image: string;
  /** Directories of this machine that belong to it, read-only. */
  binds: readonly TemplateBind[];
  /** Beside what the image itself says. */
  env: Readonly<Record<string, string>>;
}

/**
 * A template by name, as an image: one that the settings name, else one of this machine's templates, imported when it
 * is first needed, else an image with the label `berth.template`. Nothing is pulled. Throws `not_found`.
 */
export interface ImageTemplates {
  current(name: string): Promise<ImageTemplate>;
  /** Throws as `current` would, and imports nothing. */
  check(name: string): Promise<void>;
  /** What of this machine belongs to a version that a sandbox was made with. Throws `not_found` when that is gone. */
  binds(name: string, version: string): Promise<readonly TemplateBind[]>;
  /** Removes the images of templates that this machine has no more. One that a sandbox or a snapshot needs stays. */
  removeUnused(): Promise<void>;
}

export interface ImageTemplatesOptions {
  engine: Docker;
  /** Whose images they are: others use the engine too. */
  installation: string;
  templates: Templates;
  /** Images by the name of the template that they are. */
  named: Readonly<Record<string, string>>;
  scratchDir: string;
}

const tagOf = ({ name, version }: Pick<Template, 'name' | 'version'>) => `${name}-${version}`;

export function createImageTemplates({ engine, installation, templates, named, scratchDir }: ImageTemplatesOptions): ImageTemplates {
  const repository = templateRepository(installation);
  /** By tag. */
  const importing = new Map<string, Promise<string>>();

  function imported(template: Template): Promise<string> {
    const key = tagOf(template);
    const image = importing.get(key) ?? importTemplate(engine, template, repository, scratchDir);
    importing.set(
      key,
      image.catch((error: unknown) => {
        // The next call tries again.
        importing.delete(key);
        throw error;
      }),
    );
    return importing.get(key)!;
  }

  return {
    async current(name) {
      if (Object.hasOwn(named, name)) return findNamed(engine, name, named[name]!);
      if (!templates.has(name)) return findLabelled(engine, name);
      const local = await templates.current(name);
      return { name, version: local.version, image: await imported(local), binds: local.binds, env: local.env };
    },
    async check(name) {
      if (Object.hasOwn(named, name)) await findNamed(engine, name, named[name]!);
      else if (!templates.has(name)) await findLabelled(engine, name);
    },
    async binds(name, version) {
      // An image's id is its version where it was not made from a template of this machine.
      return version.startsWith('sha256:') ? [] : (await templates.version(name, version)).binds;
    },
    async removeUnused() {
      const images = await engineCall(() => engine.listImages({ filters: { reference: [repository] } }));
      const prefix = `${repository}:`;
      const tags = images.flatMap(({ RepoTags }) => RepoTags ?? []).flatMap((tag) => tag.split(prefix)[1] ?? []);
      // Looked at after the images: one that is imported meanwhile is of a template that is there.
      const present = new Set((await templates.versions()).map(tagOf));
      for (const tag of tags.filter((each) => !present.has(each))) {
        importing.delete(tag);
        // What is still needed is a conflict, and gone at a later look.
        await settleInEngine(() => engine.getImage(prefix + tag).remove()).catch(() => {});
      }
    },
  };
}

async function findNamed(engine: Docker, name: string, reference: string): Promise<ImageTemplate> {
  const found = await findInEngine(() => engine.getImage(reference).inspect());
  if (found === null) throw noTemplate(name, `the image ${reference} is not in the engine; pull it first`);
  return { name, version: found.Id, image: found.Id, binds: [], env: {} };
}

async function findLabelled(engine: Docker, name: string): Promise<ImageTemplate> {
  const filters = { label: [`${labels.template}=${name}`], dangling: ['false'] };
  const found = await engineCall(() => engine.listImages({ filters }));
  const newest = found.toSorted((a, b) => b.Created - a.Created)[0];
  if (newest === undefined) throw noTemplate(name, 'neither here nor as an image in the engine');
  return { name, version: newest.Id, image: newest.Id, binds: [], env: {} };
}

/** Its root file system becomes an image of one layer; what it shows of this machine is mounted when it is used. */
async function importTemplate(engine: Docker, template: Template, repository: string, scratchDir: string): Promise<string> {
  const tag = tagOf(template);
  const reference = `${repository}:${tag}`;
  const present = await findInEngine(() => engine.getImage(reference).inspect());
  if (present !== null) return present.Id;
  const archive = join(scratchDir, `${tag}.tar`);
  try {
    await mustRun('tar', ['--create', '--numeric-owner', '--xattrs', '--file', archive, '--directory', template.rootfs, '.']);
    const progress = await engineCall(() => engine.importImage(archive, { repo: repository, tag }));
    const said = await new Promise<{ status?: string }[]>((resolve, reject) => {
      engine.modem.followProgress(progress, (error, output) => (error === null ? resolve(output) : reject(error)));
    });
    // Podman takes no tag with an import.
    const image = said.map(({ status }) => /(?:sha256:)?[0-9a-f]{64}/.exec(status ?? '')?.[0]).findLast(Boolean);
    if (image !== undefined) await engineCall(() => engine.getImage(image).tag({ repo: repository, tag }));
  } finally {
    await rm(archive, { force: true });
  }
  return (await engineCall(() => engine.getImage(reference).inspect())).Id;
}
