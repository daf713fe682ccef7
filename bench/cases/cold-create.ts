import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { guestRunnerPath } from '../../src/core/ports/sandbox-provider.ts';
import { runnerNodeFlags } from '../../src/protocol/runner-launch.ts';
import type { BenchHost } from '../host.ts';
import { soon } from '../host.ts';
import { compare, type Contender } from '../measure.ts';
import { ratioRow, skippedRow, type Row } from '../table.ts';
import { commandContender, type BenchCase } from './case.ts';

const what = 'new sandbox to first command done';
const goals = { runc: 1.5, docker: 0.4 };

/**
 * Berth makes a disk with its quota, mounts the root, starts the runtime and the runner, and runs `true` through it. The
 * plain runtime runs `true` alone, on a root that is mounted already, with the same configuration: namespaces,
 * mounts, limits, seccomp. The sandbox is destroyed outside the timing.
 */
export const coldCreate: BenchCase = {
  name: 'create',
  needsDocker: true,
  async run({ host, docker, quick, say }) {
    const reference = host.nextId();
    const client = await host.create(reference);
    client.close();
    const bundles = await mkdtemp(join(host.dataDir, 'plain-'));
    try {
      const contenders: Contender[] = [
        { name: 'berth', measureMs: () => createOnce(host) },
        await plainContender('runc', host, reference, bundles, ['true']),
        await plainContender('runc node', host, reference, bundles, startNode),
      ];
      if ('argv' in docker) {
        const { argv, confined, image } = docker;
        contenders.push(
          commandContender('docker', [...argv, 'run', '--rm', image, 'true']),
          commandContender('docker confined', [...argv, 'run', '--rm', ...confined, image, 'true']),
        );
      }
      say(`create: ${contenders.map(({ name }) => name).join(', ')}`);
      const samples = await compare(contenders, { warmUp: 2, rounds: quick ? 6 : 40, pauseMs: 100 });
      const berth = samples.get('berth')!;
      const rows: Row[] = [
        ratioRow(what, berth, '`runc run` of `true`, same rootfs and config', samples.get('runc')!, goals.runc),
        ratioRow(what, berth, '`runc run` of an empty Node program', samples.get('runc node')!, null),
      ];
      if ('reason' in docker) return [...rows, skippedRow(what, '`docker run --rm`', docker.reason)];
      rows.push(
        ratioRow(what, berth, '`docker run --rm`', samples.get('docker')!, goals.docker),
        ratioRow(
          what,
          berth,
          '`docker run --rm`, same limits, no network',
          samples.get('docker confined')!,
          goals.docker,
        ),
      );
      return rows;
    } finally {
      await rm(bundles, { recursive: true, force: true });
      await host.destroy(reference);
    }
  },
};

/** To the first command's end. The sandbox is destroyed outside the timing. */
export async function createOnce(host: BenchHost): Promise<number> {
  const id = host.nextId();
  const startedMs = performance.now();
  const runner = await host.create(id);
  const { exitCode } = await runner.exec({ argv: ['true'] }, soon());
  const tookMs = performance.now() - startedMs;
  if (exitCode !== 0) throw new Error(`true ended with ${exitCode}`);
  runner.close();
  await host.destroy(id);
  return tookMs;
}

/** What any design takes in which a Node program of the sandbox's answers. */
const startNode = [`${guestRunnerPath}/bin/node`, ...runnerNodeFlags, '--eval', '0'];

/** The plain runtime on a bundle with the configuration of a sandbox that runs, and a command in place of the runner. */
export async function plainContender(
  name: string,
  host: BenchHost,
  id: string,
  bundles: string,
  args: string[],
): Promise<Contender> {
  const config = await host.runtimeConfig(id);
  config.process.args = args;
  config.linux.cgroupsPath += '-plain';
  const bundle = join(bundles, name.replaceAll(' ', '-'));
  await mkdir(bundle);
  await writeFile(join(bundle, 'config.json'), JSON.stringify(config));
  const root = `--root=${join(bundles, 'state')}`;
  return commandContender(name, ['runc', root, 'run', `--bundle=${bundle}`, 'berth-bench-plain']);
}
