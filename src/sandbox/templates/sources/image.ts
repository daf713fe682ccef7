import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { guestHome } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import type { Material } from './index.ts';

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const descriptor = z.object({ digest, mediaType: z.string() });
const index = z.object({ manifests: z.array(descriptor).min(1) });
const manifest = z.object({ config: descriptor, layers: z.array(descriptor).max(500) });
const config = z.object({
  config: z.object({ Env: z.array(z.string().max(100_000)).max(1000).nullish() }).nullish(),
  rootfs: z.object({ diff_ids: z.array(digest) }),
});

/** An image in an OCI image layout of one image (image-spec 1.1). The digests of the layers' archives are the config's. */
export async function readImage(layout: string): Promise<Material> {
  const blob = (of: string) => join(layout, 'blobs', 'sha256', of.slice('sha256:'.length));
  const read = async <T extends z.ZodType>(path: string, schema: T): Promise<z.output<T>> => {
    const parsed = schema.safeParse(JSON.parse(await readFile(path, 'utf8')));
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    throw new BerthError('invalid_request', `the image has a part that is not as the format says: ${issue?.path.join('.')}: ${issue?.message}`, { field: 'from' });
  };
  const { manifests } = await read(join(layout, 'index.json'), index);
  const image = await read(blob(manifests[0]!.digest), manifest);
  const { config: defaults, rootfs } = await read(blob(image.config.digest), config);
  if (rootfs.diff_ids.length !== image.layers.length) {
    throw new BerthError('invalid_request', 'the image does not say what each of its layers is', { field: 'from' });
  }
  const layers = image.layers.map((layer, at) => ({ path: blob(layer.digest), digest: rootfs.diff_ids[at]!.slice('sha256:'.length) }));
  return { layers, env: readEnv(defaults?.Env ?? []) };
}

/** Where programs are found and how they behave; not what decides who runs, how the network is reached or what a loader loads. */
const notTaken = /^(?:HOME|USER|LOGNAME|SHELL|HOSTNAME|TERM|PWD|NODE_OPTIONS|NODE_PATH|LD_.*|GCONV_PATH|BERTH_.*|.*_proxy|.*_PROXY)$/;

export function readEnv(entries: readonly string[]): Record<string, string> {
  const env: Record<string, string> = {};
  for (const entry of entries) {
    const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=([^\0]*)$/s.exec(entry) ?? [];
    if (name !== undefined && value !== undefined && !notTaken.test(name)) env[name] = value;
  }
  // Where people and agents install for themselves comes first, as it does without an image.
  if (env['PATH'] !== undefined) env['PATH'] = `${guestHome}/.local/bin:${env['PATH']}`;
  return env;
}
