import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { BerthError } from '../../protocol/errors.ts';
import { permissionOption, type PermissionOption } from '../../protocol/events.ts';
import type { PermissionAnswer } from '../../protocol/runner-api.ts';
import { after, type Clock } from './clock.ts';
import type { Recorder } from './recorder.ts';

/** More open requests than a person can answer are answered `cancelled` at once. */
const maxOpen = 64;
const maxOptions = 32;
const maxOptionNameLength = 1000;

/** What the agent is told; ACP's `RequestPermissionOutcome`. */
export type AcpOutcome = { outcome: 'selected'; optionId: string } | { outcome: 'cancelled' };

/** ACP's `session/request_permission`, with room for fields and kinds of options that are new. */
export const permissionRequest = z.looseObject({
  toolCall: z.looseObject({ toolCallId: z.string() }),
  options: z.array(z.looseObject({ optionId: z.string(), name: z.string(), kind: z.string() })),
});
export type PermissionRequest = z.infer<typeof permissionRequest>;

interface OpenRequest {
  options: PermissionOption[];
  answer(outcome: AcpOutcome): void;
  stopWaiting(): void;
}

type Resolution = { outcome: 'selected' | 'cancelled' | 'expired'; optionId: string | null; by: string | null };

/**
 * The permission requests of one session. A request is *open* until exactly one of these resolves it:
 * - a person's answer: the option chosen, or `cancelled`;
 * - its time limit: an option that rejects when there is one (once rather than always), else `cancelled`;
 * - the end of its turn or of its agent, or the agent taking it back: `cancelled`.
 * Nothing here ever allows by itself. The journal has each resolution before the agent is told.
 */
export class Permissions {
  readonly #recorder: Recorder;
  readonly #clock: Clock;
  readonly #open = new Map<string, OpenRequest>();
  readonly #resolved: Set<string>;

  /** `resolved` are the ids of an earlier run's requests; none of them is open any more. */
  constructor(recorder: Recorder, clock: Clock, resolved: Iterable<string> = []) {
    this.#recorder = recorder;
    this.#clock = clock;
    this.#resolved = new Set(resolved);
  }

  get openIds(): string[] {
    return [...this.#open.keys()];
  }

  /** Resolves with what to tell the agent. `signal` fires when the agent takes the request back. */
  async request(request: PermissionRequest, timeoutMs: number, signal: AbortSignal): Promise<AcpOutcome> {
    const options = this.#usableOptions(request);
    if (this.#open.size >= maxOpen) {
      this.#recorder.log('warn', `more than ${maxOpen} open permission requests; one is answered "cancelled"`);
      return { outcome: 'cancelled' };
    }
    const requestId = `prm_${randomUUID().replaceAll('-', '')}`;
    const expiresAt = new Date(this.#clock.now().getTime() + timeoutMs).toISOString();
    this.#recorder.append({
      type: 'permission.requested',
      data: { requestId, toolCall: request.toolCall, options, expiresAt },
    });
    const { promise, resolve } = Promise.withResolvers<AcpOutcome>();
    const cancelTimer = after(this.#clock, timeoutMs, () => this.#expire(requestId));
    const takenBack = () => void this.#resolveQuietly(requestId, { outcome: 'cancelled', optionId: null, by: null });
    signal.addEventListener('abort', takenBack, { once: true });
    this.#open.set(requestId, {
      options,
      answer: resolve,
      stopWaiting: () => {
        cancelTimer();
        signal.removeEventListener('abort', takenBack);
      },
    });
    if (signal.aborted) takenBack();
    await this.#recorder.sync();
    return promise;
  }

  /**
   * A person's answer; on return it is on the disk and on its way to the agent. Throws `not_found`,
   * `conflict` when resolved before, `invalid_request` for an option that was not offered.
   */
  async answer(requestId: string, answer: PermissionAnswer): Promise<void> {
    const request = this.#open.get(requestId);
    if (request === undefined) {
      if (this.#resolved.has(requestId)) throw new BerthError('conflict', 'the permission request was answered before');
      throw new BerthError('not_found', `no permission request ${requestId}`);
    }
    const { optionId, by } = answer;
    const known = request.options.map((option) => option.optionId);
    if (optionId !== null && !known.includes(optionId)) {
      const message = `optionId must be one of ${known.join(', ')}`;
      throw new BerthError('invalid_request', message, { field: 'optionId', context: { known } });
    }
    await this.#resolve(requestId, { outcome: optionId === null ? 'cancelled' : 'selected', optionId, by });
  }

  /** Resolves all open requests as cancelled. A journal that refuses does not keep the agent waiting. */
  async cancelAll(): Promise<void> {
    const cancelled = { outcome: 'cancelled', optionId: null, by: null } as const;
    await Promise.all(this.openIds.map((requestId) => this.#resolveQuietly(requestId, cancelled)));
  }

  #expire(requestId: string): void {
    const options = this.#open.get(requestId)?.options ?? [];
    const reject =
      options.find(({ kind }) => kind === 'reject_once') ?? options.find(({ kind }) => kind === 'reject_always');
    void this.#resolveQuietly(requestId, { outcome: 'expired', optionId: reject?.optionId ?? null, by: null });
  }

  async #resolve(requestId: string, resolution: Resolution): Promise<void> {
    const request = this.#open.get(requestId);
    if (request === undefined) return;
    this.#recorder.append({ type: 'permission.resolved', data: { requestId, ...resolution } });
    this.#open.delete(requestId);
    this.#resolved.add(requestId);
    request.stopWaiting();
    try {
      await this.#recorder.sync();
    } catch (error) {
      // The file has the answer but the disk may not: the agent is not let go ahead on it.
      request.answer({ outcome: 'cancelled' });
      throw error;
    }
    const { optionId } = resolution;
    request.answer(optionId === null ? { outcome: 'cancelled' } : { outcome: 'selected', optionId });
  }

  /** For resolutions that nobody waits for: where the journal refuses, the agent gets `cancelled` all the same. */
  async #resolveQuietly(requestId: string, resolution: Resolution): Promise<void> {
    const request = this.#open.get(requestId);
    try {
      await this.#resolve(requestId, resolution);
    } catch {
      this.#open.delete(requestId);
      this.#resolved.add(requestId);
      request?.stopWaiting();
      request?.answer({ outcome: 'cancelled' });
    }
  }

  /** Options of a kind that is unknown are left out: nobody could tell what choosing them does. */
  #usableOptions(request: PermissionRequest): PermissionOption[] {
    return request.options.slice(0, maxOptions).flatMap((option) => {
      const parsed = permissionOption.safeParse(option);
      if (!parsed.success) {
        this.#recorder.log('warn', `a permission option of an unknown kind is left out: ${option.kind.slice(0, 100)}`);
        return [];
      }
      return { ...parsed.data, name: parsed.data.name.slice(0, maxOptionNameLength) };
    });
  }
}
