import { readFile } from 'node:fs/promises';
import type { BerthClient } from '../../src/sdk/index.ts';
import type { CreateSessionInput, Session } from '../../src/protocol/api.ts';
import type { SessionEvent } from '../../src/protocol/events.ts';
import { scriptedAgentPath } from '../fixtures/scripted-agent/client.ts';

const guestAgent = '/home/user/.scripted/agent.mjs';
export const scriptedCommand = ['/berth/runner/bin/node', guestAgent];

/** A session whose agent is the scripted one, put into its sandbox as any file. */
export async function scriptedSession(client: BerthClient, input: Omit<Partial<CreateSessionInput>, 'agent' | 'agentCommand'> = {}): Promise<Session> {
  const session = await client.sessions.create({ agent: 'scripted', agentCommand: scriptedCommand, ...input });
  await client.sessions.files.write(session.id, guestAgent, await readFile(scriptedAgentPath), { makeParents: true });
  return session;
}

/** Prompts and waits for the end; answers permission requests of kind `allow_once`. */
export async function runTurn(client: BerthClient, sessionId: string, prompt: string) {
  const { turnId } = await client.sessions.prompt(sessionId, prompt);
  const stop = new AbortController();
  const answering = answerPermissions(client, sessionId, 'allow_once', stop.signal);
  const turn = await client.sessions.waitForTurn(sessionId, turnId);
  stop.abort();
  await answering;
  const events = (await allEvents(client, sessionId)).filter((event) => event.turnId === turnId);
  return { turn, turnId, events, text: textOf(events) };
}

export async function answerPermissions(
  client: BerthClient,
  sessionId: string,
  kind: string,
  signal: AbortSignal,
): Promise<number> {
  let answered = 0;
  try {
    const { lastSeq } = await client.sessions.get(sessionId);
    for await (const event of client.sessions.events(sessionId, { from: Math.max(0, lastSeq - 5), signal })) {
      if (event.type !== 'permission.requested') continue;
      const option = event.data.options.find((each) => each.kind === kind);
      try {
        await client.sessions.answerPermission(sessionId, event.data.requestId, option?.optionId ?? null);
        answered += 1;
      } catch (error) {
        if ((error as { code?: string }).code !== 'conflict') throw error;
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return answered;
}

export async function allEvents(client: BerthClient, sessionId: string): Promise<SessionEvent[]> {
  return Array.fromAsync(client.sessions.log(sessionId));
}

export function textOf(events: readonly SessionEvent[]): string {
  return events
    .map((event) => {
      if (event.type !== 'agent.update' || event.data.update.sessionUpdate !== 'agent_message_chunk') return '';
      const content = event.data.update['content'] as { text?: string } | undefined;
      return content?.text ?? '';
    })
    .join('');
}
