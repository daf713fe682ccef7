import type { StoreReads } from '../ports/store.ts';

const pageSize = 500;

/** What the agent said after its last tool call of a turn: its answer. */
export async function lastAnswer(reads: StoreReads, sessionId: string, turnId: string): Promise<string> {
  let answer = '';
  let seq = 0;
  for (;;) {
    const page = await reads.events(sessionId, seq, pageSize);
    for (const event of page) {
      seq = event.seq;
      if (event.turnId !== turnId || event.type !== 'agent.update') continue;
      const { update } = event.data;
      if (update.sessionUpdate === 'tool_call') answer = '';
      else if (update.sessionUpdate === 'agent_message_chunk') answer += textOf(update['content']);
    }
    if (page.length === 0) return answer;
  }
}

function textOf(content: unknown): string {
  const block = content as { type?: unknown; text?: unknown } | null;
  return block?.type === 'text' && typeof block.text === 'string' ? block.text : '';
}
