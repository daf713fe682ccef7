import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createModelServer } from '../fixtures/model-server/index.ts';
import { createInstallation, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, runTurn } from './scripted.ts';

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
