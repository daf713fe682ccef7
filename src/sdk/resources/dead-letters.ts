import { z } from 'zod';
import { admission, deadLetter, type Admission, type DeadLetter } from '../../protocol/api.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

export interface ListDeadLettersOptions extends CallOptions {
  session?: string;
  /** Only those not replayed yet. */
  waiting?: boolean;
  limit?: number;
}

/** Turns that the platform failed, each named by its turn. */
export interface DeadLettersResource {
  /** Newest first. */
  list(options?: ListDeadLettersOptions): Promise<DeadLetter[]>;
  /** A new turn with the same prompt in the same session; replayed again, that same turn. */
  replay(turnId: string, options?: CallOptions): Promise<Admission>;
}

export function createDeadLettersResource(transport: Transport): DeadLettersResource {
  const page = z.object({ deadLetters: z.array(deadLetter) });
  return {
    async list({ session, waiting, limit, signal } = {}) {
      const query = { session, waiting, limit };
      return (await transport.json(page, 'GET', '/api/dead-letters', { query, signal })).deadLetters;
    },
    replay: (turnId, options) =>
      transport.json(admission, 'POST', `/api/dead-letters/${encodeURIComponent(turnId)}/replay`, {
        idempotent: true,
        ...options,
      }),
  };
}
