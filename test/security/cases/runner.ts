import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allEvents, runTurn } from '../../e2e/scripted.ts';
import { guestNode, type Range } from '../range.ts';

/** What the server may say of a runner that does not behave. */
const told = expect.stringMatching(/^(upstream_failed|sandbox_lost|unavailable|timeout)$/);

/** These come last: the attacker's sandbox is no use after them. */
export function runnerCases(range: () => Range): void {
  /** Starts the program that takes the runner's place; resolves when it has. Nothing can be asked of the sandbox from then on. */
  async function replaceRunner(...args: string[]): Promise<void> {
    const program = ['/home/user/attacks/hostile-runner.mjs', ...args].map((word) => `'${word}'`).join(' ');
    await range().run(range().attacker, ['sh', '-c', `setsid ${guestNode} ${program} > /dev/null 2>&1 & until [ -e /berth/run/away.sock ] && [ -e /berth/run/runner.sock -o -L /berth/run/runner.sock ]; do sleep 0.05; done`]);
  }

  test("a link in the place of the runner's socket does not make the server connect to a service of the host", async () => {
    const directory = mkdtempSync(join(tmpdir(), 'berth-service-'));
    const path = join(directory, 'service.sock');
    let connected = 0;
    const service = createServer((socket) => {
      connected += 1;
      socket.destroy();
    }).listen(path);
    await once(service, 'listening');
    try {
      await replaceRunner('-', 'link', path);
      const { client, attacker } = range();
      // A port is always dialled anew.
      const answer = await fetch(client.sessions.portUrl(attacker, 3000), { headers: { authorization: `Bearer ${range().server.token}` } });
      expect(answer.ok).toBe(false);
      expect(((await answer.json()) as { error: { code: string } }).error.code).toEqual(told);
      expect(connected).toBe(0);
      await client.sessions.rest(attacker, 'stop');
      await client.sessions.wake(attacker);
      expect((await range().run(attacker, ['echo', 'back'])).out).toBe('back\n');
      expect(connected).toBe(0);
    } finally {
      service.close();
      rmSync(directory, { recursive: true });
    }
  });

  test('a runner that is an impostor gets nothing but its own token, and what it answers harms nobody', async () => {
    const { bystanders, attacker, run } = range();
    const victim = bystanders[1]!;
    const { turnId } = await range().client.sessions.prompt(victim, 'hang');
    for await (const event of range().client.sessions.events(victim)) if (event.type === 'turn.started' && event.turnId === turnId) break;
    const logBefore = (await allEvents(range().client, attacker)).length;
    await run(attacker, ['sh', '-c', 'rm -f seen']);
    await replaceRunner(turnId);
    // A new server has no connection to the true one left.
    await range().restart();
    const { client, server } = range();
    const { sessions } = client;

    await expect(sessions.files.stat(attacker, '/home/user/x')).rejects.toMatchObject({ code: told });
    await expect(sessions.ports(attacker)).rejects.toMatchObject({ code: told });
    await expect(sessions.exec(attacker, { argv: ['true'] })).rejects.toMatchObject({ code: told });
    await expect(sessions.processes.list(attacker)).rejects.toMatchObject({ code: told });
    const names = await sessions.files.list(attacker, '/home/user').then(
      (entries) => entries.map(({ name }) => name),
      (error: unknown) => {
        expect(error).toMatchObject({ code: told });
        return [];
      },
    );
    // Where they are handed on, they are refused by what would write them.
    const { download } = await import('../../../src/cli/copy/download.ts');
    const target = mkdtempSync(join(tmpdir(), 'berth-download-'));
    await expect(download(client, { sessionId: attacker, path: '/home/user' }, join(target, 'in'))).rejects.toMatchObject({ code: expect.any(String) });
    expect([names.length, ...readdirSync(tmpdir()).filter((name) => name === 'escaped'), ...readdirSync(target).filter((name) => name !== 'in')]).toEqual([names.length]);
    expect(existsSync('/etc/escaped')).toBe(false);
    rmSync(target, { recursive: true });

    const { turnId: own } = await sessions.prompt(attacker, 'say anything');
    const ended = await Promise.race([sessions.waitForTurn(attacker, own), sessions.interrupt(attacker).then(() => sessions.waitForTurn(attacker, own))]);
    expect(ended.state).not.toBe('completed');
    const log = await allEvents(client, attacker);
    expect(log.map(({ seq }) => seq)).toEqual(log.map((_, index) => index + 1));
    expect(log.length - logBefore).toBeLessThan(100);

    // The other's turn goes on, whatever the impostor's journal said of it.
    expect((await sessions.turn(victim, turnId)).state).toBe('running');
    await sessions.interrupt(victim);
    expect((await sessions.waitForTurn(victim, turnId)).state).toBe('cancelled');
    for (const id of bystanders.slice(2)) expect((await runTurn(client, id, 'say unharmed')).text).toContain('unharmed');
    const peakKib = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]);
    expect(peakKib).toBeLessThan(1024 ** 2);

    // It starts again with its true runner, and what the impostor was given opens nothing else.
    await sessions.rest(attacker, 'stop');
    await sessions.wake(attacker);
    const seen = (await run(attacker, ['cat', 'seen'])).out;
    const tokens = [...new Set([...seen.matchAll(/Bearer (\S+)/g)].map(([, token]) => token!))];
    expect(tokens).toHaveLength(1);
    expect(seen).not.toContain(server.token);
    for (const path of ['/api/sessions', `/api/sessions/${victim}`, '/api/me']) {
      expect((await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${tokens[0]}` } })).status, path).toBe(401);
    }
  });
}
