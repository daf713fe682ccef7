import type { SandboxLimits } from '../../src/core/ports/sandbox-provider.ts';
import { soon, type BenchHost } from '../host.ts';
import { sampleOf, timed } from '../measure.ts';
import { limitRow, skippedRow } from '../table.ts';
import type { BenchCase } from './case.ts';

const sizeBytes = 2 ** 30;
const goalMs = 1000;
const what = 'fork of a running sandbox with a workspace of 1 GB, to the runner answering';

/** The workspace has been written and is on disk; the fork shares its blocks. */
export const fork: BenchCase = {
  name: 'fork',
  needsDocker: false,
  async run({ host, quick, say }) {
    if (host.provider.capabilities.fork === 'none') return [skippedRow(what, '-', 'no btrfs and no reflinks')];
    const id = host.nextId();
    say('fork: writing 1 GB');
    await createWithWorkspace(host, id, sizeBytes, { diskBytes: 4 * sizeBytes });
    const timesMs: number[] = [];
    for (let round = 0; round < (quick ? 3 : 10); round++) timesMs.push(await forkOnce(host, id, { diskBytes: 4 * sizeBytes }));
    await host.destroy(id);
    return [limitRow(what, sampleOf(timesMs), goalMs)];
  },
};

/** A sandbox whose workspace is written and on disk. */
export async function createWithWorkspace(host: BenchHost, id: string, workspaceBytes: number, more: Partial<SandboxLimits> = {}): Promise<void> {
  const runner = await host.create(id, more);
  const argv = ['sh', '-c', `head -c ${workspaceBytes} /dev/urandom > workspace && sync workspace`];
  const { exitCode } = await runner.exec({ argv }, soon());
  runner.close();
  if (exitCode !== 0) throw new Error(`writing the workspace ended with ${exitCode}`);
}

/** To the fork's runner answering; it is destroyed outside the timing. */
export async function forkOnce(host: BenchHost, id: string, more: Partial<SandboxLimits> = {}): Promise<number> {
  const own = { network: 'none' as const, labels: {}, runnerToken: 'x', env: {} };
  const forked = { id: host.nextId(), template: host.template, limits: { ...host.limits, ...more }, ...own };
  const tookMs = await timed(() => host.provider.fork({ sandboxId: id }, [forked], { signal: soon() }));
  await host.provider.destroy(forked.id, { signal: soon() });
  return tookMs;
}
