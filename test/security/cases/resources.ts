import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cgroupDirectories, detectCgroups } from '../../../src/sandbox/host/cgroups.ts';
import { installationCgroup } from '../../../src/sandbox/installation-paths.ts';
import { installationId } from '../../../src/sandbox/instance-lock.ts';
import { runsOnGvisor } from '../../e2e/harness.ts';
import type { Range } from '../range.ts';

const mebibyte = 1024 ** 2;
const [EAGAIN, EMFILE, ENFILE, ENOSPC, EDQUOT] = [11, 24, 23, 28, 122];

/** gVisor takes its time to be full. */
const hogTimeoutMs = runsOnGvisor ? 200_000 : 60_000;

export function resourceCases(range: () => Range): void {
  const beside = <T>(name: string, attack: () => Promise<T>) => range().beside(name, attack);

  /** What a hog got, and the error that stopped it; `null` where the whole sandbox ended. */
  async function hog(name: string): Promise<{ count: number; stopped: number } | null> {
    const result = await beside(name, () => range().run(range().attacker, ['attacks/hogs', name], hogTimeoutMs).catch((error: unknown) => failed(error)));
    // There it may also be too slow to say how far it got.
    if (result === null || (runsOnGvisor && result.out === '')) return null;
    const [count, stopped] = result.out.trim().split(' ').map(Number);
    return { count: count ?? Number.NaN, stopped: stopped ?? Number.NaN };
  }

  /** gVisor's kernel is itself what a limit ends; the session goes on from its disk. */
  function failed(error: unknown): null {
    if (!runsOnGvisor) throw error;
    expect(error).toMatchObject({ code: expect.stringMatching(/^(sandbox_lost|unavailable)$/) });
    return null;
  }

  async function attackerCgroups(): Promise<string[]> {
    const { client, attacker, installation } = range();
    const { sandboxId } = await client.sessions.get(attacker);
    return cgroupDirectories(await detectCgroups(), `${installationCgroup(await installationId(installation.dataDir))}/${sandboxId}`);
  }

  async function figure(file: string, pattern = /(\d+)/): Promise<number> {
    for (const directory of await attackerCgroups()) {
      try {
        return Number(pattern.exec(readFileSync(join(directory, file), 'utf8'))?.[1]);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    return Number.NaN;
  }

  const alive = async () => expect((await range().run(range().attacker, ['echo', 'alive'])).out).toBe('alive\n');
  /** After what takes every process: once they have ended. */
  const soonAlive = () => expect.poll(() => range().run(range().attacker, ['echo', 'alive']).then(({ out }) => out, (error: { code?: string }) => error.code), { timeout: 30_000, interval: 300 }).toBe('alive\n');

  test('a fork bomb and a flood of zombies stop at the limit of processes', async () => {
    const { limits } = range();
    for (const name of ['forks', 'zombies']) {
      const got = await hog(name);
      if (got !== null) {
        expect(got.stopped).toBe(EAGAIN);
        expect(got.count).toBeLessThan(limits.pids);
      }
      expect(await figure('pids.max')).toBe(limits.pids);
      await soonAlive();
    }
  });

  test('memory ends at its limit, for what takes it', async () => {
    const { limits } = range();
    const result = await beside('memory', () => range().attack('hogs', 'memory').catch((error: unknown) => failed(error)));
    if (result !== null) expect(result).toMatchObject({ out: '', exitCode: expect.toSatisfy((code: number | null) => code === null || code === 137) });
    await alive();
    const counted = await Promise.all(['memory.limit_in_bytes', 'memory.max'].map((file) => figure(file)));
    expect(counted).toContain(limits.memoryBytes);
  });

  test('a disk is full at its limit, of bytes and of empty files, and can be emptied', async () => {
    const { limits, attacker, client, run } = range();
    const filled = await hog('bytes');
    expect([ENOSPC, EDQUOT]).toContain(filled?.stopped);
    expect(filled?.count).toBeLessThanOrEqual(limits.diskBytes / mebibyte);
    // The sandbox can be worked in and started: what is full can be looked at and removed.
    await alive();
    await expect(client.sessions.files.write(attacker, '/home/user/more', new Uint8Array(mebibyte))).rejects.toMatchObject({ code: 'resource_exhausted' });
    await client.sessions.rest(attacker, 'stop');
    await client.sessions.wake(attacker);
    await alive();
    // Some room, for tables alone; no more, as gVisor makes files slowly.
    expect(await run(attacker, ['sh', '-c', 'rm bytes && head -c 6M /dev/urandom > room && sync && ! head -c 96M /dev/urandom > bytes 2>/dev/null && rm room && sync'])).toMatchObject({ exitCode: 0, err: '' });
    const made = await hog('inodes');
    expect([ENOSPC, EDQUOT]).toContain(made?.stopped);
    expect(made?.count).toBeGreaterThan(0);
    expect(made?.count).toBeLessThan(200_000);
    // By the file system's account; what others do on the machine's disk meanwhile is their own.
    expect((await client.sessions.usage(attacker)).diskBytes).toBeLessThanOrEqual(limits.diskBytes + mebibyte);
    expect(await run(attacker, ['rm', '-rf', 'bytes', 'inodes'])).toMatchObject({ exitCode: 0, err: '' });
    expect((await run(attacker, ['sh', '-c', 'echo again > again && cat again'])).out).toBe('again\n');
  });

  test('open files end at the limit of a process', async () => {
    const got = await hog('files');
    if (got === null) return;
    expect([EMFILE, ENFILE]).toContain(got.stopped);
    expect(got.count).toBeLessThan(65_536);
    await alive();
  });

  test('processors are held to the share they were given', async () => {
    const { limits } = range();
    const script = 'for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; sleep 2; kill $(jobs -p)';
    const { exitCode } = await beside('processors', () => range().run(range().attacker, ['bash', '-c', script]));
    expect(exitCode).toBe(0);
    // By the kernel's own account; whether it had to throttle is a matter of what else the machine does.
    expect(await Promise.all([figure('cpu.cfs_quota_us'), figure('cpu.max')])).toContain(limits.cpus * 100_000);
    expect(await figure('cpu.stat', /nr_periods (\d+)/)).toBeGreaterThan(0);
  });

  test('a flood of output is cut, and the server does not hold it', async () => {
    const { client, attacker, bystanders, server } = range();
    const flood = await beside('output', () => client.sessions.exec(attacker, { argv: ['sh', '-c', 'yes flood | head -c 200000000; yes flood | head -c 50000000 >&2'], timeoutMs: 60_000 }));
    expect(flood).toMatchObject({ exitCode: 0, truncated: true });
    expect(flood.stdout.length + flood.stderr.length).toBeLessThanOrEqual(2 * mebibyte);

    for (const id of bystanders) expect((await client.sessions.get(id)).status).not.toBe('failed');
    const peakKib = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]);
    expect(peakKib).toBeLessThan(1024 ** 2);
  });
}
