import { soon } from '../host.ts';
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
    const limits = { cpus: 1, memoryBytes: 2 ** 30, pids: 512, diskBytes: 4 * sizeBytes };
    const spec = { id, template: 'default', limits, network: 'none' as const, labels: {}, runnerToken: 'x', env: {} };
    const runner = await host.create(id, { diskBytes: limits.diskBytes });
    say('fork: writing 1 GB');
    const argv = ['sh', '-c', `head -c ${sizeBytes} /dev/urandom > workspace && sync workspace`];
    const { exitCode } = await runner.exec({ argv }, soon());
    runner.close();
    if (exitCode !== 0) throw new Error(`writing the workspace ended with ${exitCode}`);
    const timesMs: number[] = [];
    for (let round = 0; round < (quick ? 3 : 10); round++) {
      const forked = { ...spec, id: host.nextId() };
      timesMs.push(await timed(() => host.provider.fork({ sandboxId: id }, [forked], { signal: soon() })));
      await host.provider.destroy(forked.id, { signal: soon() });
    }
    await host.destroy(id);
    return [limitRow(what, sampleOf(timesMs), goalMs)];
  },
};
