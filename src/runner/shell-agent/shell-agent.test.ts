import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import type { JournalEvent } from '../../protocol/events.ts';
import { readProcess } from '../sessions/process-tree.ts';
import { ofType, readUntil, runTurn, saidIn, SessionFixture, waitFor } from '../sessions/session-fixture.ts';

const argv = [process.execPath, '--disable-warning=ExperimentalWarning', resolve(import.meta.dirname, 'main.ts')];

const toolUpdates = (events: JournalEvent[]) =>
  events
    .filter(ofType('agent.update'))
    .map(({ data }) => data.update)
    .filter(({ toolCallId }) => toolCallId !== undefined);

function outputOf(update: Record<string, unknown> | undefined): string {
  const [block] = (update?.['content'] ?? []) as { content: { text: string } }[];
  return block?.content.text ?? '';
}

test('runs the prompt as a script in the session’s directory', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start({ agent: 'shell', argv });
  const events = await runTurn(session, 'trn_1', 'echo héllo > a.txt\ncat a.txt; echo err >&2; [[ a == a ]] && pwd');
  expect(readFileSync(join(fixture.cwd, 'a.txt'), 'utf8')).toBe('héllo\n');
  const updates = toolUpdates(events);
  expect(updates[0]).toMatchObject({
    sessionUpdate: 'tool_call',
    kind: 'execute',
    status: 'in_progress',
    title: 'echo héllo > a.txt',
  });
  expect(updates.at(-1)).toMatchObject({ status: 'completed', rawOutput: { exitCode: 0, signal: null } });
  expect(outputOf(updates.at(-1)).split('\n').toSorted()).toEqual(['', fixture.cwd, 'err', 'héllo']);
  expect(saidIn(events)).toBe('');
  expect(events.at(-1)?.data).toMatchObject({ outcome: 'completed', stopReason: 'end_turn' });
});

test('a failing script is a result, told with its exit code', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start({ agent: 'shell', argv });
  const events = await runTurn(session, 'trn_1', 'exit 7');
  expect(toolUpdates(events).at(-1)).toMatchObject({ status: 'failed', rawOutput: { exitCode: 7 } });
  expect(saidIn(events)).toContain('exit code 7');
  expect(events.at(-1)?.data).toMatchObject({ outcome: 'completed' });
});

test('shows the end of a long output, and takes a script longer than an argument', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start({ agent: 'shell', argv });
  const events = await runTurn(session, 'trn_1', `# ${'x'.repeat(300_000)}\nseq 1 200000`);
  const output = outputOf(toolUpdates(events).at(-1));
  expect(output).toMatch(/^\[\.\.\. \d+ bytes before \.\.\.\]\n/);
  expect(output.endsWith('199999\n200000\n')).toBe(true);
  expect(output.length).toBeLessThan(66_000);
});

test('cancel ends the script with everything it started', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start({ agent: 'shell', argv });
  await session.startTurn({
    turnId: 'trn_1',
    prompt: [{ type: 'text', text: 'trap "" TERM; sleep 1000 & echo pid=$!; wait' }],
  });
  const events = await readUntil(session.journal, (event) => /pid=\d+\\n/.test(JSON.stringify(event.data)));
  const pid = Number(/pid=(\d+)\\n/.exec(JSON.stringify(events.at(-1)?.data))?.[1]);
  expect(readProcess(pid)).not.toBeNull();
  session.cancelTurn('trn_1');
  expect((await waitFor(session.journal, 'turn.ended')).data).toMatchObject({
    outcome: 'cancelled',
    stopReason: 'cancelled',
  });
  expect(readProcess(pid)).toBeNull();
});

test('a background process outlives its script, and the next turn runs', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start({ agent: 'shell', argv });
  const events = await runTurn(session, 'trn_1', 'sleep 1000 & echo pid=$!');
  const pid = Number(/pid=(\d+)\\n/.exec(JSON.stringify(events))?.[1]);
  try {
    expect(readProcess(pid)).not.toBeNull();
    expect(toolUpdates(await runTurn(session, 'trn_2', 'true')).at(-1)).toMatchObject({ status: 'completed' });
  } finally {
    process.kill(pid, 'SIGKILL');
  }
});

test('its conversation can be taken up by another process', async () => {
  await using fixture = new SessionFixture();
  const session = await fixture.start({ agent: 'shell', argv, acpSessionId: 'earlier' });
  expect(session.info().acpSessionId).toBe('earlier');
  expect(toolUpdates(await runTurn(session, 'trn_1', 'true')).at(-1)).toMatchObject({ status: 'completed' });
});
