import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { dumpIdentity } from '../../src/sandbox/providers/oci/criu-identity.ts';
import { hostEnv, mustRun } from '../../src/sandbox/run-command.ts';
import { soon, type BenchHost } from '../host.ts';
import { comparePairs, type Pair } from '../measure.ts';
import { ratioRow, skippedRow } from '../table.ts';
import type { BenchCase } from './case.ts';

const goal = 1.3;
const what = { hibernate: 'hibernate an idle sandbox', wake: 'wake it, to the runner answering' };

/**
 * Berth freezes, writes the image beside, syncs it, renames it and takes the sandbox apart; to wake it puts the sandbox together again
 * and waits for the runner. The plain runtime writes and restores a sandbox like it with the same CRIU and its own settings, its root mounted
 * all along, and syncs nothing.
 */
export const hibernate: BenchCase = {
  name: 'hibernate',
  needsDocker: false,
  async run({ host, quick, say }) {
    const ids = [host.nextId(), host.nextId()] as const;
    for (const id of ids) (await host.create(id)).close();
    if (host.provider.capabilities.hibernate === 'none') {
      return [skippedRow(what.hibernate, '`runc checkpoint`', 'no CRIU: scripts/setup.sh fetches it')];
    }
    const [id, plainId] = ids;
    const berth = { name: 'berth', ...berthHibernation(host, id) };
    // The plain runtime uses what Berth makes at its first.
    await berth.first();
    await berth.second();
    say('hibernate: berth, runc');
    const pairs = [berth, { name: 'runc', ...runcHibernation(host, plainId) }];
    const { first: hibernates, second: wakes } = await comparePairs(pairs, { warmUp: 1, rounds: quick ? 4 : 20, pauseMs: 200 });
    for (const each of ids) await host.destroy(each);
    return [
      ratioRow(what.hibernate, hibernates.get('berth')!, '`runc checkpoint`', hibernates.get('runc')!, goal),
      ratioRow(what.wake, wakes.get('berth')!, '`runc restore`', wakes.get('runc')!, goal),
    ];
  },
};

export function berthHibernation({ provider }: BenchHost, id: string): Pick<Pair, 'first' | 'second'> {
  return {
    first: () => provider.hibernate(id, { signal: soon() }),
    second: async () => {
      const { restored, reason } = await provider.wake(id, { signal: soon() });
      if (restored !== 'memory') throw new Error(`the processes were lost: ${reason}`);
    },
  };
}

/** As Berth does; else it takes 60 to 90 ms more each way, and iptables. */
const noLock = 'network-lock skip';

/** The same sandbox's worth of processes through the runtime's command line. Berth has hibernated one before. */
export function runcHibernation(host: BenchHost, id: string): Pick<Pair, 'first' | 'second'> {
  const image = join(host.dataDir, 'storage', 'bench-image');
  const bundle = join(host.dataDir, 'sandboxes', id);
  const log = join(host.dataDir, 'storage', 'sandboxes', id, 'log');
  let logName = '';
  // Berth's own, made at its first hibernate: it starts CRIU as the machine needs it.
  const criu = join(dirname(host.runtimeRoot), 'criu');
  const flags = ['--ext-unix-sk', '--tcp-established', '--file-locks', '--image-path', image, '--work-path', image];
  const runc = (env: Record<string, string>, ...args: string[]) =>
    mustRun('runc', ['--root', host.runtimeRoot, '--criu', criu, ...args], {
      env: { ...hostEnv, ...env },
      stdio: ['ignore', 'ignore', 'ignore'],
    });
  return {
    first: async () => {
      const { command, config } = await dumpIdentity();
      logName = await nameOfLog(host, id);
      await rm(image, { recursive: true, force: true });
      await mkdir(image);
      await writeFile(join(bundle, 'criu.conf'), [`external ${logName}`, noLock, ...config, ''].join('\n'));
      await runc({ BERTH_CRIU_AS: command }, 'checkpoint', ...flags, id);
    },
    second: async () => {
      await writeFile(join(bundle, 'criu.conf'), `inherit-fd fd[9]:${logName}\n${noLock}\n`);
      await runc({ BERTH_CRIU_LOG: log }, 'restore', '--detach', ...flags, '--bundle', bundle, id);
    },
  };
}

/** CRIU's name for the file outside the sandbox that its processes print to. */
async function nameOfLog(host: BenchHost, id: string): Promise<string> {
  const state = JSON.parse(await readFile(join(host.runtimeRoot, id, 'state.json'), 'utf8')) as Record<string, unknown>;
  const info = await readFile(`/proc/${String(state['init_process_pid'])}/fdinfo/1`, 'utf8');
  const [mount, inode] = [/^mnt_id:\s*(\d+)/m.exec(info)?.[1], /^ino:\s*(\d+)/m.exec(info)?.[1]];
  return `file[${Number(mount).toString(16)}:${Number(inode).toString(16)}]`;
}
