import type { JournalEvent } from '../../protocol/events.ts';
import { parseLine, type LineHeader } from './journal-line.ts';

/**
 * What a session needs to know of its journal when it is opened: gathered in one pass, in memory that
 * grows with turns and permissions, not with events.
 */
export class JournalReplay {
  readonly turnIds = new Set<string>();
  readonly permissionIds = new Set<string>();
  readonly openPermissionIds = new Set<string>();
  /** A turn that began and did not end, and where in the file it began. */
  openTurn: { turnId: string; offset: number } | null = null;
  lastStarted: { agent: string; acpSessionId: string } | null = null;
  /** An agent was started and its end is not told. */
  agentRuns = false;

  visit(header: LineHeader, line: Buffer, offset: number): void {
    switch (header.type) {
      case 'turn.started':
        if (header.turnId === null) return;
        this.turnIds.add(header.turnId);
        this.openTurn = { turnId: header.turnId, offset };
        return;
      case 'turn.ended':
        this.openTurn = null;
        return;
      case 'agent.started':
      case 'permission.requested':
      case 'permission.resolved': {
        const event = parseLine(line);
        if (event !== null) this.#visitEvent(event);
        return;
      }
      case 'agent.exited':
        this.agentRuns = false;
        return;
      default:
    }
  }

  #visitEvent(event: JournalEvent): void {
    if (event.type === 'agent.started') {
      const { agent, acpSessionId } = event.data;
      this.lastStarted = { agent, acpSessionId };
      this.agentRuns = true;
    } else if (event.type === 'permission.requested') {
      this.permissionIds.add(event.data.requestId);
      this.openPermissionIds.add(event.data.requestId);
    } else if (event.type === 'permission.resolved') {
      this.openPermissionIds.delete(event.data.requestId);
    }
  }
}
