import type { Clock } from './clock.ts';

export interface FloodLimits {
  eventsPerSecond: number;
  eventsPerTurn: number;
  bytesPerTurn: number;
  /** `agent.log` entries: stderr lines and complaints about ill-formed messages. */
  logsPerTurn: number;
}

export const defaultFloodLimits: FloodLimits = {
  // Half of what the server takes in: a reader that was away catches up.
  eventsPerSecond: 1000,
  eventsPerTurn: 200_000,
  bytesPerTurn: 64 * 1024 * 1024,
  logsPerTurn: 500,
};

/** Why an event was refused. */
export type FloodReason = 'rate' | 'events' | 'bytes' | 'logs';

/**
 * Bounds what an agent can make the journal grow by. The rate is a token bucket of one second's
 * worth; events, bytes and logs are counted per turn, and between turns.
 */
export class FloodLimit {
  readonly #limits: FloodLimits;
  readonly #clock: Clock;
  #tokens: number;
  #refilledAt: number;
  #bytes = 0;
  #events = 0;
  #logs = 0;
  readonly #announced = new Set<FloodReason>();

  constructor(clock: Clock, limits: FloodLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#tokens = limits.eventsPerSecond;
    this.#refilledAt = clock.now().getTime();
  }

  /** Begins counting anew, at a turn's beginning and end. */
  reset(): void {
    this.#bytes = 0;
    this.#events = 0;
    this.#logs = 0;
    this.#announced.clear();
  }

  /** `null` when the event may be written, else why not. */
  admit(sizeBytes: number, isLog: boolean): FloodReason | null {
    const now = this.#clock.now().getTime();
    const { eventsPerSecond, eventsPerTurn, bytesPerTurn, logsPerTurn } = this.#limits;
    this.#tokens = Math.min(eventsPerSecond, this.#tokens + ((now - this.#refilledAt) / 1000) * eventsPerSecond);
    this.#refilledAt = now;
    if (isLog && this.#logs >= logsPerTurn) return 'logs';
    if (this.#events >= eventsPerTurn) return 'events';
    if (this.#bytes + sizeBytes > bytesPerTurn) return 'bytes';
    if (this.#tokens < 1) return 'rate';
    this.#tokens -= 1;
    this.#bytes += sizeBytes;
    this.#events += 1;
    if (isLog) this.#logs += 1;
    return null;
  }

  /** `true` the first time in a turn: a flood gets one warning. */
  announce(reason: FloodReason): boolean {
    if (this.#announced.has(reason)) return false;
    this.#announced.add(reason);
    return true;
  }
}
