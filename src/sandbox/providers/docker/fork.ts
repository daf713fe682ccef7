import type { ForkSource, SandboxSpec } from '../../../core/ports/sandbox-provider.ts';
import { BerthError } from '../../../protocol/errors.ts';
import { copySandbox, findSnapshot, type Copy } from './copies.ts';
import type { Installation } from './installation.ts';
import { readRecord, type SandboxRecord } from './record.ts';
import { makeSandbox, removeSandbox, removeUnusedCopy, sandboxParts } from './sandbox.ts';

/** Makes all or none. The caller holds the locks of the source and of the new ids, and has checked the specs. */
export async function forkSandboxes(
  installation: Installation,
  source: ForkSource,
  specs: readonly SandboxSpec[],
  signal: AbortSignal,
): Promise<void> {
  const origin = await originOf(installation, source);
  const wrong = specs.find((spec) => spec.template !== origin.template.name);
  if (wrong !== undefined) {
    throw new BerthError('invalid_request', `a fork has its source's template, "${origin.template.name}"`, {
      field: 'template',
    });
  }
  const binds = await installation.templates.binds(origin.template.name, origin.template.version);
  const { version: runnerVersion } = await installation.layer();
  const image = await origin.image(signal);
  try {
    const made = await Promise.allSettled(
      specs.map((spec) => makeSandbox(installation, forkRecord(spec, origin, image, runnerVersion), binds, signal)),
    );
    const failed = made.find((result) => result.status === 'rejected');
    if (failed === undefined) return;
    for (const [index, result] of made.entries()) {
      if (result.status === 'fulfilled') await removeSandbox(installation, specs[index]!.id);
    }
    throw failed.reason;
  } finally {
    // Of a live source the copy has no name: it goes with the last fork that needs it.
    await removeUnusedCopy(installation, image);
  }
}

interface Origin {
  template: Copy['template'];
  image(signal: AbortSignal): Promise<string>;
}

async function originOf(installation: Installation, source: ForkSource): Promise<Origin> {
  if ('snapshotId' in source) {
    const copy = await findSnapshot(installation, source.snapshotId);
    if (copy === null) throw new BerthError('not_found', `there is no snapshot ${source.snapshotId}`);
    return { template: copy.template, image: async () => copy.image };
  }
  const parts = sandboxParts(installation, source.sandboxId);
  const record = await readRecord(parts.paths.record);
  if (record === null) throw new BerthError('conflict', `sandbox ${source.sandboxId} is broken`);
  return {
    template: record.template,
    image: (signal) => copySandbox(installation, parts, record, null, signal),
  };
}

function forkRecord(spec: SandboxSpec, { template }: Origin, image: string, runnerVersion: string): Omit<SandboxRecord, 'owner'> {
  return {
    id: spec.id,
    createdAt: new Date().toISOString(),
    template,
    image,
    limits: { ...spec.limits },
    labels: { ...spec.labels },
    env: { ...spec.env },
    runnerToken: spec.runnerToken,
    runnerVersion,
  };
}
