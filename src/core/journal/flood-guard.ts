import { BerthError } from '../../protocol/errors.ts';
import type { JournalEvent } from '../../protocol/events.ts';
import type { Clock } from '../ports/clock.ts';
import type { JournalEntry } from '../ports/runner.ts';
import type { SessionRecord } from '../ports/store.ts';

/** How much of the database a sandbox may fill by what it writes to its journal. */
export interface LogLimits {
  bytesPerTurn: number;
  bytesPerSession: number;
}

/** Twice what an honest runner lets its agent write. */
export const defaultLogLimits: LogLimits = { bytesPerTurn: 128 * 1024 * 1024, bytesPerSession: 1024 * 1024 * 1024 };

/** For what a full log must still hold: turns' ends and questions. A runner that fills this too is none of ours. */
const reserveBytes = 16 * 1024 * 1024;
/** Of entries that may not be dropped, in one turn. */
const maxLastingPerTurn = 10_000;
/** Beyond it nobody can answer them; the runner refuses a question in time. */
export const maxOpenQuestions = 100;

const entriesPerSecond = 2000;
const burstEntries = 4000;
const bytesPerSecond = 8 * 1024 * 1024;
const burstBytes = 32 * 1024 * 1024;

/**
 * Bounds what one session's journal costs this server, on the assumption that its runner was taken over. Full, the log
 * leaves out what the agent says and keeps what turns and questions need; fuller yet the journal is refused. How
 * much there is stands in the session's record, so a restart does not begin anew.
 */
export class FloodGuard {
  readonly #limits: LogLimits;
  readonly #clock: Clock;
  /** Of which turn the rest counts, by where in the log it began. */
  #turnStart = -1;
  #lasting = 0;
  #full: 'turn' | 'session' | null = null;
  #entryTokens = burstEntries;
  #byteTokens = burstBytes;
  #refilledAtMs: number;

  constructor(clock: Clock, limits: LogLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#refilledAtMs = clock.now().getTime();
  }

  /** Begins a batch of this session's entries, which may be one that was tried before. */
  batch(session: Pick<SessionRecord, 'logBytes' | 'logBytesAtTurn'>): BatchGuard {
    if (session.logBytesAtTurn !== this.#turnStart) {
      this.#turnStart = session.logBytesAtTurn;
      this.#lasting = 0;
      this.#full = null;
    }
    const turnBytes = session.logBytes - session.logBytesAtTurn;
    return new BatchGuard(this.#limits, { turnBytes, sessionBytes: session.logBytes, lasting: this.#lasting, full: this.#full });
  }

  /** Keeps what a batch came to, once it is stored. */
  stored({ lasting, full }: BatchGuard['state']): void {
    this.#lasting = lasting;
    this.#full = full;
  }

  /** Waits until the next batch may be read, so that a flood stays in its sandbox. Rejects when the signal fires. */
  async pace(batch: readonly JournalEntry[], signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.now().getTime();
    const passedSeconds = Math.max(0, nowMs - this.#refilledAtMs) / 1000;
    this.#refilledAtMs = nowMs;
    const sizeBytes = batch.reduce((sum, entry) => sum + entry.sizeBytes, 0);
    this.#entryTokens = Math.min(burstEntries, this.#entryTokens + passedSeconds * entriesPerSecond) - batch.length;
    this.#byteTokens = Math.min(burstBytes, this.#byteTokens + passedSeconds * bytesPerSecond) - sizeBytes;
    const owedSeconds = Math.max(-this.#entryTokens / entriesPerSecond, -this.#byteTokens / bytesPerSecond);
    if (owedSeconds > 0) await this.#clock.sleep(Math.ceil(owedSeconds * 1000), signal);
  }
}

interface BatchState {
  turnBytes: number;
  sessionBytes: number;
  lasting: number;
  full: 'turn' | 'session' | null;
}

/** What becomes of an entry: kept; left out; left out, and the first of its turn, with what the log says of that. */
export type Admission = { kept: true } | { kept: false; notice: string | null };

export class BatchGuard {
  readonly #limits: LogLimits;
  readonly state: BatchState;

  constructor(limits: LogLimits, state: BatchState) {
    this.#limits = limits;
    this.state = { ...state };
  }

  /** Throws `upstream_failed` when even what may not be dropped is too much. */
  admit({ event, sizeBytes }: JournalEntry): Admission {
    const { state } = this;
    const { bytesPerTurn, bytesPerSession } = this.#limits;
    if (isDroppable(event)) {
      if (state.full !== null) return { kept: false, notice: null };
      if (state.turnBytes + sizeBytes > bytesPerTurn) state.full = 'turn';
      else if (state.sessionBytes + sizeBytes > bytesPerSession) state.full = 'session';
      if (state.full !== null) return { kept: false, notice: noticeOf(state.full, this.#limits) };
    } else {
      state.lasting += 1;
      if (state.lasting > maxLastingPerTurn || state.turnBytes + sizeBytes > bytesPerTurn + reserveBytes) {
        throw new BerthError('upstream_failed', 'the runner floods its journal with what cannot be left out');
      }
    }
    state.turnBytes += sizeBytes;
    state.sessionBytes += sizeBytes;
    return { kept: true };
  }
}

/** Nothing but its readers depends on it. */
function isDroppable({ type }: JournalEvent): boolean {
  return type === 'agent.update' || type === 'agent.log';
}

function noticeOf(full: 'turn' | 'session', { bytesPerTurn, bytesPerSession }: LogLimits): string {
  return full === 'turn'
    ? `the agent has written ${inMebibytes(bytesPerTurn)} in this turn; the rest is left out until it ends`
    : `the log of this session holds ${inMebibytes(bytesPerSession)}; what its agent says is left out. Fork the session to go on`;
}

function inMebibytes(sizeBytes: number): string {
  return `${Math.round(sizeBytes / 2 ** 20)} MiB`;
}
