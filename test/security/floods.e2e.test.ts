import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BerthClient } from '../../src/sdk/index.ts';
import { createInstallation, type TestInstallation } from '../e2e/harness.ts';
import { allEvents, runTurn, scriptedSession } from '../e2e/scripted.ts';

/** A real sandbox that writes what it can, and one that tampers with its journal, beside one that works. */

const mebibyte = 2 ** 20;

let installation: TestInstallation;
let client: BerthClient;

beforeAll(async () => {
  installation = await createInstallation({ BERTH_SLOTS: '2', BERTH_LOG_TURN_MIB: '1' });
  ({ client } = await installation.start());
});
afterAll(() => installation.remove());

test('a flood fills its own share and no more, while another session works; a forged journal fails its turn', async () => {
  const [flooding, beside] = await Promise.all([scriptedSession(client), scriptedSession(client)]);
  const { turnId } = await client.sessions.prompt(flooding.id, 'flood 150000\nhang');
  await expect
    .poll(async () => (await allEvents(client, flooding.id)).some((event) => event.type === 'agent.log'), { timeout: 60_000, interval: 200 })
    .toBe(true);
  const other = await runTurn(client, beside.id, 'write a.txt made\nsay still here');
  expect(other).toMatchObject({ turn: { state: 'completed' }, text: expect.stringContaining('still here') });

  await client.sessions.interrupt(flooding.id);
  await client.sessions.waitForTurn(flooding.id, turnId);
  const events = await allEvents(client, flooding.id);
  const said = events.filter((event) => event.type === 'agent.update');
  expect(Buffer.byteLength(JSON.stringify(said))).toBeGreaterThan(mebibyte / 2);
  expect(Buffer.byteLength(JSON.stringify(events))).toBeLessThan(1.5 * mebibyte);
  const warnings = events.filter((event) => event.type === 'agent.log' && event.data.message.includes('1 MiB in this turn'));
  expect(warnings).toHaveLength(1);

  const forge = `for f in $(find / -name journal.jsonl 2>/dev/null); do printf '{"seq":1}\\n' >> $f; done; echo written`;
  const forged = await runTurn(client, flooding.id, `bash ${forge}\nsay one\nsleep 200\nsay two\nhang`);
  expect(forged.turn).toMatchObject({ state: 'failed', error: { code: 'upstream_failed', message: expect.stringContaining('journal entry 1 after') } });
  const { entries } = await client.audit.list({ session: flooding.id, action: 'journal.refused' });
  expect(entries).toMatchObject([{ actor: 'server', target: expect.stringMatching(/^sbx_/) }]);
  expect((await runTurn(client, beside.id, 'say and still')).turn.state).toBe('completed');
});
