import { existsSync } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../../protocol/errors.ts';
import { runTool, type ToolOptions } from '../confined-tool.ts';
import type { Place } from '../place.ts';
import { readImage } from './image.ts';

/** What a template is made of: archives of its layers, the lowest first, and what an image says of its environment. */
export interface Material {
  layers: { path: string; /** `null`: whatever it is. */ digest: string | null }[];
  env: Record<string, string>;
}

/** Gets what a template is made of into the scratch directory. */
export async function fetchMaterial(place: Place, options: ToolOptions): Promise<Material> {
  if (place.kind === 'suite') return fromSuite(place.suite, place.mirror, options);
  if (place.kind === 'image') return fromImage(place.reference, options);
  const found = await stat(place.path).catch((cause: NodeJS.ErrnoException) => {
    throw new BerthError('invalid_request', `${place.path} cannot be read: ${cause.code ?? cause.message}`, { field: 'from', cause });
  });
  if (found.isFile()) return { layers: [{ path: place.path, digest: null }], env: {} };
  if (!found.isDirectory()) throw new BerthError('invalid_request', `${place.path} is neither a file nor a directory`, { field: 'from' });
  for (const name of ['Dockerfile', 'Containerfile']) {
    if (existsSync(join(place.path, name))) return fromDockerfile(place.path, join(place.path, name), options);
  }
  if (existsSync(join(place.path, 'oci-layout'))) return fromImage(`oci:${place.path}`, options);
  return fromTree(place.path, options);
}

/** skopeo makes one form of all: it checks what every blob should be, and takes the image of this machine's kind of several. */
async function fromImage(reference: string, options: ToolOptions): Promise<Material> {
  options.say(`copying ${reference}`);
  const layout = join(options.scratchDir, 'image');
  // The policy is what the caller named; signatures are for whoever has a policy file of his own to set up.
  await runTool('skopeo', ['--insecure-policy', 'copy', '--remove-signatures', '--format', 'oci', reference, `oci:${layout}:template`], options);
  return readImage(layout);
}

/** Its commands run as root in a chroot, with the machine's network: only for a Dockerfile that is trusted. */
async function fromDockerfile(contextDir: string, file: string, options: ToolOptions): Promise<Material> {
  const { scratchDir } = options;
  const layout = join(scratchDir, 'image');
  const policy = join(scratchDir, 'policy.json');
  await writeFile(policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }), { mode: 0o600 });
  const store = ['--root', join(scratchDir, 'buildah'), '--runroot', join(scratchDir, 'run'), '--storage-driver', 'overlay'];
  const image = 'localhost/berth-build:template';
  options.say(`building ${file}`);
  await runTool(
    'buildah',
    [...store, 'build', '--isolation', 'chroot', '--format', 'oci', '--no-cache', '--signature-policy', policy, '--file', file, '--tag', image, contextDir],
    options,
  );
  await runTool('buildah', [...store, 'push', '--signature-policy', policy, image, `oci:${layout}:template`], options);
  return readImage(layout);
}

async function fromTree(directory: string, options: ToolOptions): Promise<Material> {
  const archive = join(options.scratchDir, 'tree.tar');
  options.say(`packing ${directory}`);
  await runTool('tar', ['--create', '--numeric-owner', '--one-file-system', '--sort=name', '--file', archive, '--directory', directory, '.'], options);
  return { layers: [{ path: archive, digest: null }], env: {} };
}

async function fromSuite(suite: string, mirror: string | null, options: ToolOptions): Promise<Material> {
  const archive = join(options.scratchDir, 'suite.tar');
  options.say(`installing ${suite}`);
  const include = '--include=ca-certificates,git,curl,less,procps';
  await runTool('mmdebstrap', ['--variant=minbase', include, suite, archive, ...(mirror === null ? [] : [mirror])], options);
  return { layers: [{ path: archive, digest: null }], env: {} };
}
