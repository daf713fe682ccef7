import { expect, test } from 'vitest';
import type { SessionEvent } from '../../sdk/index.ts';
import { createStyle } from './style.ts';
import { emptyTranscript, reduceTranscript, type TranscriptOptions } from './transcript.ts';

const options: TranscriptOptions = {
  style: createStyle(false),
  width: 72,
  cwd: '/home/user/project',
  answerWith: 'keys',
};

type Parts = Pick<SessionEvent, 'type' | 'data'> & { at?: string };

/** Events with what they all share filled in: one a second, of one turn. */
function events(parts: readonly object[]): SessionEvent[] {
  return (parts as Parts[]).map(
    (part, index) =>
      ({
        sessionId: 'ses_01',
        seq: index + 1,
        at: new Date(index * 1000).toISOString(),
        turnId: 'trn_01',
        ...part,
      }) as SessionEvent,
  );
}

const update = (data: object): object => ({ type: 'agent.update', data: { update: data } });
const say = (text: string): object => update({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } });
const think = (text: string): object =>
  update({ sessionUpdate: 'agent_thought_chunk', content: { type: 'text', text } });
const ended = (data: object = {}): object => ({
  type: 'turn.ended',
  data: { outcome: 'completed', stopReason: 'end_turn', usage: null, error: null, ...data },
});

function render(parts: readonly object[], given: Partial<TranscriptOptions> = {}): string {
  let state = emptyTranscript;
  let text = '';
  for (const event of events(parts)) {
    const step = reduceTranscript(state, event, { ...options, ...given });
    state = step.state;
    text += step.text;
  }
  return text;
}

function statuses(parts: readonly object[]): (string | null)[] {
  let state = emptyTranscript;
  return events(parts).map((event) => {
    const step = reduceTranscript(state, event, options);
    state = step.state;
    return step.status;
  });
}

const wholeTurn = [
  { type: 'session.created', data: { agent: 'claude', repository: 'https://host/team/app.git', branch: 'berth/01' } },
  {
    type: 'turn.queued',
    data: {
      prompt: [{ type: 'text', text: 'Fix the flaky test.\nKeep it small.' }],
      by: 'me',
      position: 2,
      estimatedWaitSeconds: 40,
    },
  },
  { type: 'progress', data: { stage: 'clone', message: 'cloning team/app', fraction: 0.1 } },
  { type: 'progress', data: { stage: 'clone', message: 'cloning team/app', fraction: 0.9 } },
  { type: 'agent.started', data: { agent: 'claude', acpSessionId: 'x', resumed: 'new', version: '2.1.0' } },
  { type: 'turn.started', data: {} },
  think('The test depends on time.\nLet me look'),
  think(' at it.'),
  say('I will read the '),
  say('test first.\n\n'),
  update({
    sessionUpdate: 'plan',
    entries: [
      { content: 'Read the test', status: 'completed' },
      { content: 'Inject a clock', status: 'in_progress' },
      { content: 'Run it 100 times', status: 'pending' },
    ],
  }),
  update({
    sessionUpdate: 'tool_call',
    toolCallId: 't1',
    title: 'Read /home/user/project/a.test.ts',
    kind: 'read',
    status: 'pending',
  }),
  update({
    sessionUpdate: 'tool_call_update',
    toolCallId: 't1',
    status: 'completed',
    content: [{ type: 'content', content: { type: 'text', text: '```\none\ntwo\nthree\nfour\nfive\nsix\n```' } }],
  }),
  update({
    sessionUpdate: 'tool_call',
    toolCallId: 't2',
    title: 'Edit a.test.ts',
    kind: 'edit',
    status: 'completed',
    content: [{ type: 'diff', path: '/home/user/project/a.test.ts', oldText: 'a\nb\nc\n', newText: 'a\nB\nB2\nc\n' }],
  }),
  update({ sessionUpdate: 'tool_call', toolCallId: 't3', title: '`npm test`', kind: 'execute', status: 'pending' }),
  {
    type: 'permission.requested',
    data: {
      requestId: 'req1',
      toolCall: { toolCallId: 't3', rawInput: { command: 'npm test -- --repeat 100' } },
      options: [
        { optionId: 'a', name: 'Allow once', kind: 'allow_once' },
        { optionId: 'b', name: 'Always allow', kind: 'allow_always' },
        { optionId: 'c', name: 'Reject', kind: 'reject_once' },
      ],
      expiresAt: new Date(0).toISOString(),
    },
  },
  { type: 'permission.resolved', data: { requestId: 'req1', outcome: 'selected', optionId: 'a', by: 'me' } },
  update({
    sessionUpdate: 'tool_call_update',
    toolCallId: 't3',
    status: 'failed',
    content: [{ type: 'content', content: { type: 'text', text: '1 failed' } }],
  }),
  say('One still fails:\n'),
  say('\n- the **clock** one'),
  ended({ usage: { inputTokens: 3000, outputTokens: 420 } }),
  {
    type: 'git.committed',
    data: { sha: '0123456789abcdef', branch: 'berth/01', subject: 'Inject a clock', byAgent: true },
  },
];

test('a whole turn', () => {
  expect(render(wholeTurn)).toMatchInlineSnapshot(`
    "session ses_01 · claude · https://host/team/app.git · berth/01

    ❯ Fix the flaky test.
      Keep it small.

    waiting for a slot: place 2, about 40 s
    · cloning team/app
    · agent claude 2.1.0 started

    │ The test depends on time.
    │ Let me look at it.

    I will read the test first.

      ✔ Read the test
      ▸ Inject a clock
      ○ Run it 100 times

    ✔ Read a.test.ts
        one
        two
        three
        … 3 more lines
    ✔ Edit a.test.ts
        a.test.ts  +2 -1

    ? permission wanted: \`npm test\`
        $ npm test -- --repeat 100
      [y] Allow once  [a] Always allow  [n] Reject
      → Allow once (me)

    ✗ \`npm test\`
        1 failed

    One still fails:

    - the **clock** one

    ✔ done in 15 s · 3.4k tokens · 1 file changed

    ● committed 0123456789 Inject a clock
    "
  `);
});

test('a place in the queue that moves is a status, never a line', () => {
  const at = '2026-01-02T03:04:05.000Z';
  const moved = (position: number) =>
    reduceTranscript(
      emptyTranscript,
      { sessionId: 'ses_1', seq: 1, at, turnId: 'trn_1', type: 'turn.position', data: { position, estimatedWaitSeconds: 70 } },
      { style: createStyle(false), width: 80, cwd: null, answerWith: 'command' },
    );
  expect(moved(3)).toMatchObject({ text: '', status: 'waiting for a slot: place 3, about 1 min 10 s' });
  expect(moved(0)).toMatchObject({ text: '', status: 'starting' });
});

test('what is under way is the status, until the turn ends', () => {
  expect(statuses(wholeTurn)).toMatchInlineSnapshot(`
    [
      null,
      "waiting for a slot: place 2, about 40 s",
      "cloning team/app 10 %",
      "cloning team/app 90 %",
      "cloning team/app 90 %",
      "working",
      "working",
      "working",
      "working",
      "working",
      "working",
      "Read a.test.ts",
      "working",
      "working",
      "\`npm test\`",
      "waiting for permission",
      "working",
      "working",
      "working",
      "working",
      null,
      null,
    ]
  `);
});

test('however the text is cut, it comes out the same', () => {
  const text = 'First line.\n\nSecond paragraph,\nwith two lines.\n\n\n';
  const whole = render([say(text), ended()]);
  for (const size of [1, 2, 3, 7]) {
    const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, at) =>
      say(text.slice(at * size, (at + 1) * size)),
    );
    expect(render([...pieces, ended()])).toBe(whole);
  }
});

test('ends of turns', () => {
  const start = { type: 'turn.started', data: {} };
  const outcomes = [
    ended({ outcome: 'cancelled', stopReason: 'cancelled' }),
    ended({ outcome: 'failed', stopReason: null, error: { code: 'agent_failed', message: 'the agent ended' } }),
    ended({ stopReason: 'max_tokens' }),
  ];
  expect(outcomes.map((outcome) => render([start, outcome])).join('')).toMatchInlineSnapshot(`
    "■ interrupted after 1 s
    ✗ failed after 1 s
      the agent ended (agent_failed)
    ✔ done in 1 s · stopped: max_tokens
    "
  `);
});

test('a call that never ended is shown when the turn ends, and a late update of one that did is not', () => {
  const call = { sessionUpdate: 'tool_call', toolCallId: 't', title: 'Sleep', status: 'in_progress' };
  expect(render([update(call), ended({ outcome: 'cancelled' })])).toContain('◌ Sleep');
  const done = { ...call, status: 'completed' };
  expect(render([update(done), update(done)])).toBe('✔ Sleep\n');
});

test('nothing that an agent sends reaches the terminal raw', () => {
  const evil = '\u001b]52;c;AAAA\u0007\u001b[2J\u202e';
  const text = render([
    {
      type: 'turn.queued',
      data: { prompt: [{ type: 'text', text: evil }], by: evil, position: 0, estimatedWaitSeconds: 0 },
    },
    { type: 'progress', data: { stage: evil, message: evil, fraction: null } },
    { type: 'agent.started', data: { agent: evil, acpSessionId: evil, resumed: 'new', version: evil } },
    { type: 'agent.log', data: { level: 'error', message: evil } },
    { type: 'agent.exited', data: { exitCode: 1, signal: null, stderrTail: evil } },
    { type: 'sandbox.status', data: { sandboxId: 's', provider: evil, status: evil, reason: evil } },
    { type: 'session.status', data: { status: 'failed', reason: evil } },
    say(evil),
    think(evil),
    update({ sessionUpdate: 'plan', entries: [{ content: evil, status: evil }] }),
    update({ sessionUpdate: 'current_mode_update', currentModeId: evil }),
    update({ sessionUpdate: 'notice', title: evil, description: evil }),
    update({
      sessionUpdate: 'tool_call',
      toolCallId: 't',
      title: evil,
      status: 'completed',
      content: [
        { type: 'content', content: { type: 'text', text: evil } },
        { type: 'diff', path: evil, newText: evil },
      ],
    }),
    {
      type: 'permission.requested',
      data: {
        requestId: evil,
        toolCall: { toolCallId: 'u', title: evil, rawInput: { command: evil } },
        options: [{ optionId: evil, name: evil, kind: 'allow_once' }],
        expiresAt: '',
      },
    },
    { type: 'permission.resolved', data: { requestId: evil, outcome: 'selected', optionId: evil, by: evil } },
    { type: 'git.committed', data: { sha: 'abc', branch: evil, subject: evil, byAgent: true } },
    { type: 'git.pushed', data: { sha: 'abc', branch: evil } },
    { type: 'git.refused', data: { refs: [evil], reason: evil, count: 1 } },
    { type: 'task.pull_request', data: { number: 1, url: evil } },
    ended({ stopReason: evil, error: { code: evil, message: evil } }),
  ]);
  // oxlint-disable-next-line no-control-regex -- the characters that must not be there
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
});

test('ill-formed updates are survived', () => {
  const strange = [
    update({ sessionUpdate: 'agent_message_chunk' }),
    update({ sessionUpdate: 'agent_message_chunk', content: 'text' }),
    update({ sessionUpdate: 'tool_call', title: 5, content: 'x', status: {} }),
    update({ sessionUpdate: 'plan', entries: 'x' }),
    update({ sessionUpdate: 'plan', entries: [null, 3] }),
    update({ sessionUpdate: 'from_the_future' }),
  ];
  expect(() => render(strange)).not.toThrow();
});

test('without a terminal to ask at, a request tells how to answer it', () => {
  const request = {
    type: 'permission.requested',
    data: { requestId: 'r1', toolCall: { toolCallId: 'x', title: 'Run it' }, options: [], expiresAt: '' },
  };
  expect(render([request], { answerWith: 'command' })).toContain('berth allow ses_01 r1');
});
