import type { AgentUpdate, JournalEvent } from '../../protocol/events.ts';

type ToolStatus = 'pending' | 'in_progress' | 'completed' | 'failed';

/**
 * The tool calls of one turn that readers of the journal believe to be running. An agent that dies, or that
 * is stopped, never says how they ended; neither does one whose last update was dropped in a flood.
 */
export class OpenTools {
  readonly #open = new Map<string, ToolStatus>();

  /** Takes note of an update; `written` tells whether it reached the journal. */
  observe(update: AgentUpdate, written: boolean): void {
    if (update.sessionUpdate !== 'tool_call' && update.sessionUpdate !== 'tool_call_update') return;
    const { toolCallId, status } = update;
    if (typeof toolCallId !== 'string') return;
    const known = this.#open.get(toolCallId);
    if (status === 'completed' || status === 'failed') {
      if (written) this.#open.delete(toolCallId);
      else if (known !== undefined) this.#open.set(toolCallId, status);
    } else if (written && (update.sessionUpdate === 'tool_call' || known !== undefined || isOpenStatus(status))) {
      this.#open.set(toolCallId, isOpenStatus(status) ? status : (known ?? 'pending'));
    }
  }

  /**
   * The updates that close what readers see as open, and forgets it. Without `failRunning`, only those
   * whose end is known but was dropped.
   */
  close(failRunning: boolean): AgentUpdate[] {
    const updates: AgentUpdate[] = [];
    for (const [toolCallId, status] of this.#open) {
      const ended = status === 'completed' || status === 'failed';
      if (!ended && !failRunning) continue;
      updates.push({ sessionUpdate: 'tool_call_update', toolCallId, status: ended ? status : 'failed' });
    }
    this.#open.clear();
    return updates;
  }

  /** Rebuilds the state from a journal's events. */
  replay(event: JournalEvent): void {
    if (event.type === 'agent.update') this.observe(event.data.update, true);
  }
}

function isOpenStatus(status: unknown): status is 'pending' | 'in_progress' {
  return status === 'pending' || status === 'in_progress';
}
