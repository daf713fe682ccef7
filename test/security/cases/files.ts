import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Range } from '../range.ts';

const tries = 12;

export function fileCases(range: () => Range): void {
  const text = (content: string) => new TextEncoder().encode(content);

  test('links in the way of file calls are followed inside the roots only, and names that leave them are refused', async () => {
    const { client, attacker, run } = range();
    const { files } = client.sessions;
    const script = 'mkdir -p l && cd l && ln -sfn /etc etc; ln -sfn /proc/self proc; ln -sfn / root; ln -sfn loop loop; ln -sfn ../../../etc/passwd up; ln -f /etc/passwd hard 2>/dev/null; mkfifo fifo; echo $?';
    expect((await run(attacker, ['sh', '-c', script])).exitCode).toBe(0);
    const outside = ['l/etc/passwd', 'l/proc/environ', 'l/root/etc/shadow', 'l/up', '../../etc/passwd', 'l/root/berth/run/runner.sock'];
    for (const path of outside) {
      await expect(files.read(attacker, `/home/user/${path}`), path).rejects.toMatchObject({ code: expect.stringMatching(/^(path_not_allowed|conflict|not_found|invalid_request)$/) });
      await expect(files.write(attacker, `/home/user/${path}`, text('x')), path).rejects.toMatchObject({ code: expect.stringMatching(/^(path_not_allowed|conflict|invalid_request)$/) });
    }
    for (const path of ['/etc/passwd', '/proc/1/environ', '/berth/run/runner.sock', '/var/lib/berth', '/home/user/../../etc/passwd', '/home/user2/x']) {
      await expect(files.stat(attacker, path), path).rejects.toMatchObject({ code: 'path_not_allowed', field: 'path' });
    }
    await expect(files.read(attacker, '/home/user/l/loop')).rejects.toMatchObject({ code: expect.stringMatching(/^(invalid_request|conflict|not_found|path_not_allowed)$/) });
    // Nobody writes to the other end: an open would wait for ever.
    await expect(files.read(attacker, '/home/user/l/fifo')).rejects.toMatchObject({ code: 'unsupported' });
    expect(existsSync('/home/user/l')).toBe(false);
  });

  test('a directory that is exchanged with a link while calls go through it leads none of them outside', async () => {
    const { client, attacker, run } = range();
    const { files } = client.sessions;
    // Outside of what the file calls may reach, but writable for the runner's user: an escape would show.
    const script = 'mkdir -p race/real /dev/shm/outside && echo inside > race/real/file && echo outside > /dev/shm/outside/file && ln -sfn /dev/shm/outside race/link && (setsid attacks/exchange race/real race/link > race/out 2>&1 & echo $!)';
    const pid = (await run(attacker, ['sh', '-c', script])).out.trim();
    const exchanging = async () => (await run(attacker, ['sh', '-c', `cat /proc/${pid}/comm race/out`])).out;
    expect(await exchanging()).toBe('exchange\n');
    const seen = { inside: 0, refused: 0 };
    try {
      for (let round = 0; round < tries; round++) {
        const calls = [
          files.read(attacker, '/home/user/race/real/file').then(async (body) => new Response(body).text()),
          files.write(attacker, '/home/user/race/real/written', text('written')).then(() => 'inside\n'),
          files.mkdir(attacker, '/home/user/race/real/deep', { parents: true }).then(() => 'inside\n'),
          files.move(attacker, '/home/user/race/real/written', '/home/user/race/real/moved').then(() => 'inside\n'),
          files.remove(attacker, '/home/user/race/real/deep', { recursive: true }).then(() => 'inside\n'),
        ];
        for (const result of await Promise.allSettled(calls)) {
          if (result.status === 'fulfilled') {
            expect(result.value).toBe('inside\n');
            seen.inside += 1;
          } else {
            expect(result.reason).toMatchObject({ code: expect.stringMatching(/^(path_not_allowed|not_found|conflict|invalid_request)$/) });
            seen.refused += 1;
          }
        }
      }
      expect(await exchanging()).toBe('exchange\n');
    } finally {
      await run(attacker, ['sh', '-c', `kill -KILL ${pid}`]);
    }
    // Both were met, else nothing was raced.
    expect(seen.inside).toBeGreaterThan(0);
    expect(seen.refused).toBeGreaterThan(0);
    expect((await run(attacker, ['sh', '-c', 'ls -A /dev/shm/outside; cat /dev/shm/outside/file'])).out).toBe('file\noutside\n');
  });

  test('what a sandbox leaves in its files is not followed by the host when it is copied', async () => {
    const { client, attacker, run } = range();
    const decoy = mkdtempSync(join(tmpdir(), 'berth-decoy-'));
    try {
      writeFileSync(join(decoy, 'secret'), 'of the host');
      // The same path outside: whoever resolves it on the host finds the decoy.
      await run(attacker, ['sh', '-c', `ln -sfn ${decoy} decoy; ln -sfn ${decoy}/secret leak; ln -sfn ${decoy}/made made; ln -sfn ${decoy} .claude-link`]);
      const [fork] = await client.sessions.fork(attacker);
      const { out } = await run(fork!.id, ['sh', '-c', 'cat leak decoy/secret 2>&1; readlink leak']);
      expect(out).not.toContain('of the host');
      expect(out).toContain(`${decoy}/secret`);
      await client.sessions.delete(fork!.id);
      expect(readdirSync(decoy)).toEqual(['secret']);
      expect(execFileSync('cat', [join(decoy, 'secret')], { encoding: 'utf8' })).toBe('of the host');
    } finally {
      rmSync(decoy, { recursive: true });
    }
  });
}
