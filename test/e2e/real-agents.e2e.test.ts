import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createModelServer } from '../fixtures/model-server/index.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, answerPermissions, runTurn } from './scripted.ts';

const realKey = 'sk-real-key-that-must-not-enter-a-sandbox';

/** The large ones are opt-in: `BERTH_TEST_AGENTS=gemini,opencode`. */
const optional = (process.env['BERTH_TEST_AGENTS'] ?? '').split(',').filter((name) => name !== '');
const agents = ['claude', 'codex', ...optional];

let model: Awaited<ReturnType<typeof createModelServer>>;
let installation: TestInstallation;
let server: TestServer;

beforeAll(async () => {
  model = await createModelServer({
    key: realKey,
    script: {
      rules: [
        {
          when: { prompt: /make the file/ },
          steps: [
            { text: 'I will write it.' },
            { tool: 'write', path: 'made.txt', content: 'made by the model\n' },
            { tool: 'bash', command: 'cp made.txt copied.txt && cat copied.txt' },
            { text: 'It is done.' },
          ],
        },
        ...['allowed', 'denied', 'asked', 'late'].map((name) => ({
          when: { prompt: new RegExp(`the ${name} one`) },
          steps: [{ tool: 'bash' as const, command: `touch ${name}.txt` }, { text: `That was ${name}: {{result}}` }],
        })),
        { when: { prompt: /how many/ }, steps: [{ text: 'This is turn {{turn}}.' }] },
      ],
    },
  });
  installation = await createInstallation({
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: realKey,
    OPENAI_BASE_URL: `${model.url}/v1`,
    OPENAI_API_KEY: realKey,
    GOOGLE_GEMINI_BASE_URL: model.url,
    GEMINI_API_KEY: realKey,
  });
  server = await installation.start();
});

afterAll(async () => {
  await installation.remove();
  await model.close();
});

describe.each(agents)('%s, the real one, in a real sandbox', (agent) => {
  test('prompt, file written, command run, permission asked and answered, diff, and the conversation goes on', async () => {
    const { client } = server;
    const { id } = await client.sessions.create({ agent });
    const first = await runTurn(client, id, 'Please make the file.');
    expect(first.turn).toMatchObject({ state: 'completed', stopReason: 'end_turn', error: null });
    expect(first.text).toContain('It is done.');
    const asked = first.events.filter((event) => event.type === 'permission.requested');
    expect(asked.length).toBeGreaterThan(0);
    expect(first.events.filter((event) => event.type === 'permission.resolved')).toHaveLength(asked.length);

    const diff = await client.sessions.diff(id);
    expect(diff.files.map(({ path, status }) => [path, status])).toEqual([
      ['copied.txt', 'added'],
      ['made.txt', 'added'],
    ]);
    expect(diff.patch.match(/^\+made by the model$/gm)).toHaveLength(2);

    // The key is put in outside: the model got the real one, and nothing inside knows it.
    expect(model.requests.filter((request) => request.purpose === 'turn').every((request) => request.key === realKey)).toBe(true);
    const inside = await client.sessions.exec(id, {
      argv: ['sh', '-c', `grep -rsl '${realKey}' /proc/[0-9]*/environ /home/user /tmp /etc | grep -v '^/proc/self' | head; env`],
    });
    const text = new TextDecoder().decode(inside.stdout);
    expect(text.replaceAll(/^\/proc\/\d+\/environ$/gm, '')).not.toContain(realKey);

    const second = await runTurn(client, id, 'And how many turns is that?');
    expect(second.text).toContain('This is turn 2.');
    const events = await allEvents(client, id);
    expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
    await client.sessions.delete(id);
  });
});

/** A question waits so long here; whoever answers is quicker. */
const timeoutSeconds = 10;

test('permissions of a real Claude Code: by a rule, against one, by a person, and by nobody in time', async () => {
  const { client } = server;
  const rule = (name: string, answer: 'allow' | 'deny' | 'ask') => ({ name, answer, commands: [`touch ${name}*`] });
  const { id } = await client.sessions.create({
    agent: 'claude',
    permissions: 'policy',
    permissionTimeoutSeconds: timeoutSeconds,
    permissionPolicy: { rules: [rule('allowed', 'allow'), rule('denied', 'deny'), rule('asked', 'ask'), rule('late', 'ask')] },
  });
  const exists = async (name: string) => (await client.sessions.exec(id, { argv: ['test', '-e', `${name}.txt`] })).exitCode === 0;
  /** What one turn came to: what was asked, who answered what, and whether it was done. */
  async function turn(name: string, answer: 'allow_once' | null) {
    const { turnId } = await client.sessions.prompt(id, `Please do the ${name} one.`);
    const stop = new AbortController();
    const answering = answer === null ? null : answerPermissions(client, id, answer, stop.signal);
    const ended = await client.sessions.waitForTurn(id, turnId);
    stop.abort();
    await answering;
    const events = (await allEvents(client, id)).filter((event) => event.turnId === turnId);
    const resolved = events.flatMap((event) => (event.type === 'permission.resolved' ? [event.data] : []));
    return { ended, asked: events.filter((event) => event.type === 'permission.requested').length, resolved, done: await exists(name) };
  }

  const allowed = await turn('allowed', null);
  expect(allowed).toMatchObject({ ended: { state: 'completed' }, asked: 1, resolved: [{ outcome: 'selected', by: 'policy:allowed' }], done: true });

  const denied = await turn('denied', null);
  expect(denied).toMatchObject({ asked: 1, resolved: [{ outcome: 'selected', by: 'policy:denied' }], done: false });

  const asked = await turn('asked', 'allow_once');
  expect(asked).toMatchObject({ ended: { state: 'completed' }, asked: 1, resolved: [{ outcome: 'selected', by: 'owner' }], done: true });

  const late = await turn('late', null);
  expect(late).toMatchObject({ asked: 1, resolved: [{ outcome: 'expired', by: null }], done: false });

  // The agent was told of the rule's refusal, and told its model.
  await client.sessions.waitForTurn(id, (await client.sessions.prompt(id, 'And how many turns is that?')).turnId);
  const conversation = JSON.stringify(model.requests.findLast((request) => request.purpose === 'turn')!.body);
  expect(conversation).toContain('"is_error":true');

  const { entries } = await client.audit.list({ session: id, action: 'permission.answered' });
  expect(entries.map(({ actor, detail }) => [actor, detail['optionKind'] ?? null])).toEqual([
    [`session:${id}`, 'reject_once'],
    ['user:owner', 'allow_once'],
    ['policy:denied', 'reject_once'],
    ['policy:allowed', 'allow_once'],
  ]);
  await client.sessions.delete(id);
});
