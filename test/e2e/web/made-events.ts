import type { Page } from 'playwright-core';

/** Events that no real agent would send so readily, in the place of a session's own. */
export interface MadeEvent {
  type: string;
  data: unknown;
}

/** The page's connection for events brings these, and then stays open as a quiet session's does. Before the page is loaded. */
export async function serveEvents(page: Page, sessionId: string, events: readonly MadeEvent[]): Promise<void> {
  await page.route(`**/api/sessions/${sessionId}`, async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, json: { ...((await answer.json()) as object), lastSeq: events.length } });
  });
  const messages = events.map((event, index) =>
    JSON.stringify({ sessionId, seq: index + 1, at: new Date(index).toISOString(), turnId: 'trn_made', ...event }),
  );
  await page.addInitScript(
    ({ path, all, id }) => {
      const madeSockets: MadeSocket[] = [];
      Object.assign(globalThis, { madeSockets });
      let seq = all.length;
      class MadeSocket extends EventTarget {
        readyState = 0;
        binaryType = 'blob';
        bufferedAmount = 0;
        constructor() {
          super();
          madeSockets.push(this);
          setTimeout(() => {
            this.readyState = 1;
            this.dispatchEvent(new Event('open'));
            for (const data of all) this.dispatchEvent(new MessageEvent('message', { data }));
          });
        }
        /** More, as if they had just happened. */
        bring(events: object[]): void {
          for (const event of events) {
            seq += 1;
            const data = JSON.stringify({ sessionId: id, seq, at: new Date(seq).toISOString(), turnId: 'trn_made', ...event });
            this.dispatchEvent(new MessageEvent('message', { data }));
          }
        }
        close(): void {
          this.readyState = 3;
        }
      }
      globalThis.WebSocket = new Proxy(globalThis.WebSocket, {
        construct: (real, args: [string | URL]) =>
          String(args[0]).includes(path) ? new MadeSocket() : (Reflect.construct(real, args) as object),
      });
    },
    { path: `/api/sessions/${sessionId}/stream`, all: messages, id: sessionId },
  );
}

export const update = (fields: object): MadeEvent => ({ type: 'agent.update', data: { update: fields } });
export const said = (text: string): MadeEvent =>
  update({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } });
export const thought = (text: string): MadeEvent =>
  update({ sessionUpdate: 'agent_thought_chunk', content: { type: 'text', text } });

/** What a hostile agent, repository or issue would try, in every place that shows text. */
export function hostileEvents(): MadeEvent[] {
  const html =
    '<img src=x onerror="reportWrong(\'ran\')"><script>reportWrong("ran")</script><svg onload="reportWrong(\'ran\')">';
  const markdown = [
    html,
    '[click](javascript:reportWrong("ran")) [data](data:text/html,<script>reportWrong(1)</script>)',
    '![pixel](https://tracker.test/pixel.png) <https://plain.test/>',
    '<a href="javascript:reportWrong(1)">raw</a> <iframe src="https://frame.test"></iframe>',
    '<style>body { display: none }</style>',
    'rm &#x202e;txt.exe&#x202c; &#27;[31m [tip](https://plain.test "t&#x202e;p")',
    '```html\n<script>reportWrong("ran")</script>\n```',
  ].join('\n\n');
  const bidi = 'rm -rf \u202e/safe/\u202c \u001b[31mred\u001b[0m \u001b]0;title\u0007';
  const toolCall = {
    toolCallId: 'c1',
    title: `${html} ${bidi}`,
    kind: 'execute',
    status: 'completed',
    rawInput: { command: `echo ${html}\n${bidi}` },
    content: [
      { type: 'content', content: { type: 'text', text: html + bidi } },
      { type: 'diff', path: `${html}.txt`, oldText: null, newText: html },
      {
        type: 'content',
        content: { type: 'image', mimeType: 'image/svg+xml', data: btoa('<svg onload="reportWrong(1)"/>') },
      },
    ],
  };
  return [
    { type: 'session.created', data: { agent: html, repository: html, branch: html } },
    {
      type: 'turn.queued',
      data: { prompt: [{ type: 'text', text: html }], by: html, position: 0, estimatedWaitSeconds: 0 },
    },
    { type: 'turn.started', data: {} },
    said(markdown),
    thought('between two messages'),
    // What would take a browser seconds to read, and then end the page.
    said('>'.repeat(5_000)),
    thought(html),
    update({ sessionUpdate: 'tool_call', ...toolCall }),
    update({ sessionUpdate: 'plan', entries: [{ content: html, status: 'pending', priority: 'low' }] }),
    update({ sessionUpdate: 'available_commands_update', availableCommands: [{ name: html, description: html }] }),
    update({ sessionUpdate: 'session_info_update', title: html }),
    { type: 'agent.exited', data: { exitCode: 1, signal: null, stderrTail: html } },
    { type: 'git.committed', data: { sha: 'a'.repeat(40), branch: html, subject: html, byAgent: true } },
    { type: 'task.pull_request', data: { number: 1, url: 'javascript:reportWrong("ran")' } },
    {
      type: 'permission.requested',
      data: {
        requestId: 'r1',
        toolCall: { ...toolCall, toolCallId: 'c2', status: 'pending' },
        options: [
          { optionId: 'a', name: html, kind: 'reject_once' },
          { optionId: 'b', name: `No ${bidi}`, kind: 'allow_once' },
        ],
        expiresAt: new Date(8e12).toISOString(),
      },
    },
  ];
}

/** A question with an edit of some lines, as tall as one often is. */
export function askedAboutEdit(): MadeEvent {
  const newText = Array.from({ length: 12 }, (_, line) => `line ${line} of what it wants to write`).join('\n');
  return {
    type: 'permission.requested',
    data: {
      requestId: 'r1',
      toolCall: {
        toolCallId: 'asked',
        title: 'Write src/made.txt',
        kind: 'edit',
        status: 'pending',
        content: [{ type: 'diff', path: 'src/made.txt', oldText: null, newText }],
      },
      options: [
        { optionId: 'a', name: 'Allow', kind: 'allow_once' },
        { optionId: 'b', name: 'Reject', kind: 'reject_once' },
      ],
      expiresAt: new Date(8e12).toISOString(),
    },
  };
}

/** A conversation of many turns: text, thoughts and tool calls. */
export function longConversation(count: number): MadeEvent[] {
  const events: MadeEvent[] = [
    { type: 'session.created', data: { agent: 'scripted', repository: null, branch: null } },
  ];
  while (events.length < count) {
    const n = events.length;
    if (n % 5 === 0) events.push(thought(`Thinking about step ${n}`));
    else if (n % 2 === 0) events.push(said(`Step **${n}**: some words about it, and \`code\`.`));
    else
      events.push(
        update({
          sessionUpdate: 'tool_call',
          toolCallId: `c${n}`,
          title: `Tool ${n}`,
          kind: 'read',
          status: 'completed',
          content: [{ type: 'content', content: { type: 'text', text: 'output '.repeat(20) } }],
        }),
      );
  }
  return events;
}
