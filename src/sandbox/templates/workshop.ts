import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuiltTemplate, TemplateWorkshop, JobOptions } from '../../core/ports/templates.ts';
import { BerthError } from '../../protocol/errors.ts';
import { templateName } from '../../protocol/templates-api.ts';
import { writeAtomic } from '../write-atomic.ts';
import type { UnpackLimits } from './archive/unpack.ts';
import { buildVersion } from './build-version.ts';
import type { ToolOptions } from './confined-tool.ts';
import { guardSpace } from './free-space.ts';
import { createLayerStore } from './layer-store.ts';
import { parsePlace } from './place.ts';
import { pushImage } from './push-image.ts';
import { createTemplates, defaultTemplateName, noTemplate, readManifest } from './template.ts';

export interface WorkshopOptions {
  /** Where the drivers look for templates. */
  directory: string;
  environment: Readonly<Record<string, string | undefined>>;
  limits?: Partial<UnpackLimits>;
  now: () => Date;
}

/** Generous: they end what would fill the disk, not what is large. */
const defaultLimits: UnpackLimits = { maxBytes: 32 * 1024 ** 3, maxEntries: 2_000_000 };

/**
 * Beside the templates, all on one file system: `.layers`; `.work`, with a directory for each job that runs; `current` of a template
 * is called `hidden` from the moment that it is to go.
 */
export function createWorkshop(options: WorkshopOptions): TemplateWorkshop {
  const { directory } = options;
  const layers = createLayerStore(join(directory, '.layers'));
  const workDir = join(directory, '.work');
  const templates = createTemplates(directory);
  const context = { layers, limits: { ...defaultLimits, ...options.limits }, now: options.now };
  const pointer = (name: string, of: 'current' | 'hidden' = 'current') => join(directory, name, of);

  async function names(): Promise<string[]> {
    if (!existsSync(directory)) return [];
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name).toSorted();
  }

  async function versionsOf(name: string): Promise<string[]> {
    if (!existsSync(join(directory, name))) return [];
    const entries = await readdir(join(directory, name), { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map((entry) => entry.name).toSorted();
  }

  async function currentOf(name: string): Promise<string | null> {
    return existsSync(pointer(name)) ? (await readFile(pointer(name), 'utf8')).trim() : null;
  }

  async function get(name: string): Promise<BuiltTemplate | null> {
    if (!templates.has(name)) return null;
    const versions = await versionsOf(name);
    const version = name === defaultTemplateName ? null : await currentOf(name);
    const manifest = version === null ? null : await readManifest(join(directory, name, version));
    return {
      name,
      version,
      from: manifest?.from ?? null,
      layers: manifest?.layers ?? [],
      env: manifest?.env ?? {},
      sizeBytes: manifest?.sizeBytes ?? null,
      createdAt: manifest?.createdAt ?? null,
      versions,
    };
  }

  /** In a directory of its own that is gone afterwards, and within what the disk has. */
  async function atWork<T>({ say, signal }: JobOptions, run: (tools: ToolOptions) => Promise<T>): Promise<T> {
    await mkdir(workDir, { recursive: true, mode: 0o700 });
    const scratchDir = await mkdtemp(join(workDir, 'job-'));
    try {
      return await guardSpace(scratchDir, signal, (within) =>
        run({ scratchDir, environment: options.environment, say, signal: within }),
      );
    } finally {
      await rm(scratchDir, { recursive: true, force: true });
    }
  }

  /** Renamed first: what is half removed has no name. */
  async function removeVersion(name: string, version: string): Promise<void> {
    await mkdir(workDir, { recursive: true, mode: 0o700 });
    const gone = await mkdtemp(join(workDir, 'gone-'));
    await rename(join(directory, name, version), join(gone, 'version'));
    await rm(gone, { recursive: true, force: true });
  }

  async function dropUnusedLayers(): Promise<void> {
    const needed = new Set<string>();
    for (const name of await names()) {
      for (const version of await versionsOf(name)) {
        const manifest = await readManifest(join(directory, name, version));
        for (const digest of manifest?.layers ?? []) needed.add(digest);
      }
    }
    await layers.keep(needed);
  }

  async function purge(isUsed: (name: string) => boolean): Promise<void> {
    for (const name of await names()) {
      if (name === defaultTemplateName || isUsed(name) || existsSync(pointer(name, 'hidden'))) continue;
      const current = await currentOf(name);
      for (const version of await versionsOf(name)) if (version !== current) await removeVersion(name, version);
      if (current === null) await rm(join(directory, name), { recursive: true, force: true });
    }
    await dropUnusedLayers();
  }

  return {
    async list() {
      const known = new Set([defaultTemplateName, ...(await names())]);
      const views = await Promise.all([...known].toSorted().map(get));
      return views.filter((view) => view !== null);
    },
    get,
    isLocal(place) {
      const parsed = parsePlace(place, 'from');
      return parsed.kind === 'path' || (parsed.kind === 'image' && parsed.path !== null);
    },
    async build(name, from, job) {
      if (name === defaultTemplateName || !templateName.safeParse(name).success) {
        throw new BerthError('invalid_request', `a template of one's own cannot be called ${JSON.stringify(name)}`, { field: 'name' });
      }
      return atWork(job, (tools) => buildVersion(context, join(directory, name), from, tools));
    },
    async publish(name, version) {
      if (!existsSync(join(directory, name, version))) throw noTemplate(name);
      await writeAtomic(pointer(name), `${version}\n`, 0o644);
      await rm(pointer(name, 'hidden'), { force: true });
    },
    async push(name, to, job) {
      if (!templates.has(name)) throw noTemplate(name);
      const template = await templates.current(name);
      if (template.binds.length > 0) {
        throw new BerthError('unsupported', `the template "${name}" shows this machine's own files and cannot be pushed`, { field: 'name' });
      }
      await atWork(job, (tools) => pushImage(template, to, tools));
    },
    async hide(name) {
      if (existsSync(pointer(name))) await rename(pointer(name), pointer(name, 'hidden'));
    },
    async restore(name) {
      if (existsSync(pointer(name, 'hidden'))) await rename(pointer(name, 'hidden'), pointer(name));
    },
    forget: (name) => rm(pointer(name, 'hidden'), { force: true }),
    purge,
    async recover() {
      await rm(workDir, { recursive: true, force: true });
      // Nobody decided yet that it may go.
      for (const name of await names()) {
        if (existsSync(pointer(name, 'hidden')) && !existsSync(pointer(name))) await rename(pointer(name, 'hidden'), pointer(name));
      }
    },
  };
}
