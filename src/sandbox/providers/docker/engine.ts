import type Docker from 'dockerode';
import { BerthError } from '../../../protocol/errors.ts';

/** Makes the client of an engine's API; a test may bring another. */
export type ConnectEngine = (socketPath: string) => Promise<Docker>;

/** Longer than any answer of an engine that is alive: copies of a disk are streams, whose pauses count and not their length. */
const silenceMs = 120_000;

export const connectEngine: ConnectEngine = async (socketPath) => {
  const { default: Client } = await import('dockerode');
  return new Client({ socketPath, timeout: silenceMs });
};

/** Runs calls of the engine's API; what they throw becomes one of our codes. */
export async function engineCall<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    throw engineError(thrown);
  }
}

/** As `engineCall`, but what is not there is `null`. */
export async function findInEngine<T>(call: () => Promise<T>): Promise<T | null> {
  try {
    return await engineCall(call);
  } catch (error) {
    if (error instanceof BerthError && error.code === 'not_found') return null;
    throw error;
  }
}

/** As `engineCall`, where a state that is there already (304) or a thing that is gone is as good as done. */
export async function settleInEngine(call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (thrown) {
    const status = statusOf(thrown);
    if (status !== 304 && status !== 404) throw engineError(thrown);
  }
}

const codes = { 400: 'invalid_request', 404: 'not_found', 409: 'conflict' } as const;
/** The socket is not there, not ours, or nobody answers on it. */
const away = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EACCES', 'EPIPE', 'ETIMEDOUT']);

/** The one place where failures of the engine get their code: by HTTP status or the system's own code, never by text. */
export function engineError(thrown: unknown): unknown {
  if (thrown instanceof BerthError) return thrown;
  const { code } = thrown as NodeJS.ErrnoException;
  if (typeof code === 'string' && away.has(code)) {
    return new BerthError('unavailable', `the container engine cannot be reached (${code})`, { cause: thrown });
  }
  const status = statusOf(thrown);
  if (status === null) return thrown;
  const known = Object.hasOwn(codes, status) ? codes[status as keyof typeof codes] : 'upstream_failed';
  return new BerthError(known, `the container engine says: ${reasonOf(thrown)}`, { cause: thrown, context: { status } });
}

const maxReasonLength = 1000;

function statusOf(thrown: unknown): number | null {
  const { statusCode } = thrown as { statusCode?: unknown };
  return typeof statusCode === 'number' ? statusCode : null;
}

function reasonOf(thrown: unknown): string {
  const { json, message } = thrown as { json?: { message?: unknown } | null; message: string };
  // An engine may repeat all that it was sent.
  return (typeof json?.message === 'string' ? json.message : message).slice(0, maxReasonLength);
}
