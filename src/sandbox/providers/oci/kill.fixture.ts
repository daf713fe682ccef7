import { createOciProvider } from './oci.ts';

/** Makes and removes one sandbox over and over until it is killed; says when it begins. */
const [dataDir, id] = process.argv.slice(2);
const provider = createOciProvider({ dataDir: dataDir! });
const options = () => ({ signal: AbortSignal.timeout(60_000) });
await provider.list(options());
process.stdout.write('begin\n');
for (;;) {
  await provider.create(
    {
      id: id!,
      template: 'default',
      limits: { cpus: 1, memoryBytes: 512 * 1024 ** 2, pids: 128, diskBytes: 256 * 1024 ** 2 },
      network: 'none',
      labels: {},
      runnerToken: 'token',
      env: {},
    },
    options(),
  );
  await provider.destroy(id!, options());
}
