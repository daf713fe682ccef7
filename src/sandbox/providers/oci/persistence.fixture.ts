import { createOciProvider } from './oci.ts';

/**
 * Does one operation of persistence to a sandbox over and over until it is killed, and says `go` before each:
 * `node persistence.fixture.ts <data directory> <id> <operation> [runtime]`. A fork is named `<id>-fork`.
 */
const [dataDir, id, operation, runtime] = process.argv.slice(2) as [string, string, string, 'runsc' | undefined];
const provider = createOciProvider({ dataDir, runtime });
const options = () => ({ signal: AbortSignal.timeout(60_000) });
const go = () => process.stdout.write('go\n');

async function once(): Promise<void> {
  switch (operation) {
    case 'pause':
      go();
      await provider.pause(id, options());
      await provider.resume(id, options());
      return;
    case 'hibernate':
      go();
      await provider.hibernate(id, options());
      await provider.wake(id, options());
      return;
    case 'wake':
      await provider.hibernate(id, options());
      go();
      await provider.wake(id, options());
      return;
    case 'snapshot':
      go();
      await provider.snapshot(id, { snapshotId: 'snp_killed', memory: false }, options());
      await provider.deleteSnapshot('snp_killed', options());
      return;
    case 'fork': {
      const { template, limits } = await provider.get(id, options());
      const spec = { template, limits, network: 'none' as const, labels: {}, runnerToken: 'token', env: {} };
      go();
      await provider.fork({ sandboxId: id }, [{ id: `${id}-fork`, ...spec }], options());
      await provider.destroy(`${id}-fork`, options());
      return;
    }
    default:
      throw new Error(`no operation ${operation}`);
  }
}

await provider.list(options());
for (;;) await once();
