import { readFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { guestHome } from '../../../src/core/ports/sandbox-provider.ts';
import { allEvents, textOf } from '../../e2e/scripted.ts';
import { guestNode, type Range } from '../range.ts';

/** What `impostor.mjs` answers, by name, and the code that the caller gets. */
const answers: Record<string, RegExp> = {
  hang_up: /^sandbox_lost$/,
  garbage: /^sandbox_lost$/,
  older_protocol: /^sandbox_lost$/,
  newer_protocol: /^sandbox_lost$/,
  http2: /^sandbox_lost$/,
  endless_head: /^sandbox_lost$/,
  endless_answer: /^upstream_failed$/,
  endless_error: /^upstream_failed$/,
  two_lengths: /^sandbox_lost$/,
  length_and_chunks: /^sandbox_lost$/,
  cut_short: /^sandbox_lost$/,
  not_json: /^upstream_failed$/,
  ill_typed: /^upstream_failed$/,
  nested: /^upstream_failed$/,
  redirect: /^upstream_failed$/,
  switch_unasked: /^sandbox_lost$/,
  // A sandbox says nothing of the caller's account, of money or of the server.
  sign_out: /^upstream_failed$/,
  ask_for_money: /^upstream_failed$/,
  blame_berth: /^upstream_failed$/,
  unknown_code: /^(invalid_request|upstream_failed)$/,
  terminal: /^not_found$/,
};
const frames = ['frame_too_long', 'frame_unknown', 'frame_of_input', 'frame_cut', 'exit_ill_formed', 'error_of_account', 'other_upgrade', 'no_upgrade'];
const channels = ['garbage', 'other_upgrade', 'too_long', 'settings', 'pings', 'never_opened', 'resets', 'continued'].map((name) => `channel_${name}`);
/** What a terminal or a reader would take for more than text. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/;

/** A program that takes the place of the runner, which it can: both are the sandbox's one user. */
export function impostorCases(range: () => Range): void {
  const hostile = (name: string) => `${guestHome}/hostile/${name}`;
  /** Once more where the impostor has ended the connection that was kept for it: a command is not repeated by the server. */
  const sh = async (script: string) => {
    const once = () => range().run(range().attacker, ['sh', '-c', script]);
    return once().catch((error: { code?: string }) => (error.code === 'sandbox_lost' ? once() : Promise.reject(error as Error)));
  };
  const log = async () => (await sh('cat impostor-log')).out.split('\n');
  const told = (line: string) => expect.poll(log, { timeout: 60_000, interval: 100 }).toContain(line);
  const order = (text: string) => sh(`echo '${text}' > impostor-does`);
  /** Connections of before are kept; a rest ends them. */
  const reconnect = async () => {
    const { client, attacker } = range();
    await client.sessions.rest(attacker, 'pause');
    await client.sessions.wake(attacker);
  };

  test('it has the socket, and what asks for nothing hostile goes on as before', async () => {
    await sh(`rm -f impostor-*; setsid ${guestNode} attacks/impostor.mjs > impostor-out 2>&1 &`);
    await told('listening');
    await reconnect();
    expect((await sh('echo through')).out).toBe('through\n');
  });

  /** Ends the impostor with all else; the runner of the next start has its place. */
  afterAll(async () => {
    const { client, attacker } = range();
    await client.sessions.rest(attacker, 'stop');
    await client.sessions.wake(attacker);
    await expect(client.sessions.files.stat(attacker, hostile('hang_up'))).rejects.toMatchObject({ code: 'not_found' });
  });

  test('answers that no runner gives are errors of that sandbox with a code, and no more', async () => {
    const { client, attacker, beside, server } = range();
    const { files } = client.sessions;
    await beside('forged answers', async () => {
      for (const [name, code] of Object.entries(answers)) {
        const error = (await files.stat(attacker, hostile(name)).catch((cause: unknown) => cause)) as { code: string; message: string; context: object };
        expect(`${name}: ${error.code}`).toMatch(new RegExp(code.source.replace('^', `^${name}: `)));
        expect(JSON.stringify([error.message, error.context]).length, name).toBeLessThan(6000);
        expect(error.message, name).not.toMatch(controls);
      }
      // Two answers to one question: what comes unasked answers nobody's next one.
      await sh('echo kept > kept');
      expect((await files.stat(attacker, hostile('two_answers'))).path).toBe(`${guestHome}/first`);
      for (let next = 0; next < 3; next++) expect((await files.stat(attacker, `${guestHome}/kept`)).path).toBe(`${guestHome}/kept`);
      // Nobody waits for an answer longer than he likes, and the server waits no longer than he.
      for (const name of ['silence', 'endless_continue']) {
        const leave = new AbortController();
        const asked = files.stat(attacker, hostile(name), { signal: leave.signal });
        const refused = expect(asked).rejects.toMatchObject({ code: 'cancelled' });
        await told(name);
        leave.abort();
        await refused;
        await told(`${name} closed`);
      }
    });
    expect(new Set((await log()).filter((line) => line in answers))).toEqual(new Set(Object.keys(answers)));
    const peakKib = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]);
    expect(peakKib).toBeLessThan(1024 ** 2);
  });

  test('streams of a process that are not: frames too long, unknown, cut, endless', async () => {
    const { client, attacker, beside } = range();
    const { processes } = client.sessions;
    const { id } = await processes.start(attacker, { argv: ['sleep', '600'] });
    await beside('forged frames', async () => {
      for (const name of frames) {
        await order(name);
        const outcome = (async () => {
          const attached = await processes.attach(attacker, id);
          for await (const frame of attached.output) expect(frame.payload.length).toBeLessThan(1024);
        })();
        await expect(outcome, name).rejects.toMatchObject({ code: expect.stringMatching(/^(upstream_failed|unavailable|sandbox_lost)$/) });
      }
      await order('frames_endless');
      const attached = await processes.attach(attacker, id);
      let bytes = 0;
      for await (const frame of attached.output) if ((bytes += frame.payload.length) > 2 ** 20) break;
      attached.close();
      await told('frames_endless closed');
    });
  });

  test("a gateway's channel that speaks another protocol, floods, or answers what was never opened is closed, and the next one works", async () => {
    const { beside, attack } = range();
    await beside('forged channels', async () => {
      for (const name of channels) {
        await order(name);
        await told(`${name} closed`);
      }
      await order('relay');
    });
    const ask = 'GET http://private.test/ HTTP/1.1\r\nhost: private.test\r\nconnection: close\r\n\r\n';
    const { out } = await attack('raw.mjs', JSON.stringify([['after', ask]]));
    expect(JSON.parse(out)).toEqual({ after: 'HTTP/1.1 403 Forbidden' });
  });

  test("a journal that tells of another session's turn changes nothing of it", async () => {
    const { client, attacker, bystanders } = range();
    const other = bystanders[1]!;
    const { turnId } = await client.sessions.prompt(other, 'say mine\nhang');
    await expect.poll(async () => textOf(await allEvents(client, other)), { timeout: 30_000, interval: 100 }).toContain('mine');
    await order(`journal_of ${turnId} ${other}`);
    const own = await client.sessions.prompt(attacker, 'say own');
    expect(await client.sessions.waitForTurn(attacker, own.turnId)).toMatchObject({ state: 'failed', error: { code: 'upstream_failed' } });
    await order('relay');

    const events = await allEvents(client, other);
    expect(JSON.stringify(events)).not.toContain('forged');
    expect(events.filter((event) => event.turnId === turnId && event.type === 'turn.ended')).toEqual([]);
    expect((await client.sessions.get(other)).status).toBe('running');
    // What it says of the other's turn is not even its own turn's.
    const forged = (await allEvents(client, attacker)).filter((event) => event.type === 'turn.ended');
    expect(forged.map((event) => event.turnId)).not.toContain(turnId);
    await client.sessions.interrupt(other);
    expect(await client.sessions.waitForTurn(other, turnId)).toMatchObject({ state: 'cancelled' });
  });

  test('a runner that is killed takes its sandbox with it, and the next use starts it from its disk', async () => {
    const { beside, attacker, run } = range();
    await sh('echo kept > kept; sync');
    await beside('a killed runner', async () => {
      const lost = { code: expect.stringMatching(/^(sandbox_lost|unavailable)$/) as string };
      const waiting = expect(run(attacker, ['sleep', '600'], 600_000)).rejects.toMatchObject(lost);
      await expect(run(attacker, ['sh', '-c', 'kill -KILL $PPID; sleep 600'])).rejects.toMatchObject(lost);
      await waiting;
      await expect.poll(() => sh('cat kept').then(({ out }) => out, (error: { code?: string }) => error.code), { timeout: 30_000, interval: 100 }).toBe('kept\n');
    });
  });
}
