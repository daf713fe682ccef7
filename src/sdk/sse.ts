import { EventSourceParserStream } from 'eventsource-parser/stream';
import type { EventSourceMessage } from 'eventsource-parser';
import { BerthError } from '../protocol/errors.ts';
import { networkFailure, type RequestOptions, type Transport } from './transport.ts';

/**
 * A stream that is silent for this long is dead: the server sends comment lines as a heartbeat far
 * more often. A laptop that slept, or a proxy that dropped the connection, is noticed this way.
 */
export const silenceLimitMs = 60_000;

/**
 * The messages of one server-sent event response, until it ends. Throws `unavailable` when the
 * connection breaks or falls silent, `cancelled` when the signal fires.
 */
export async function* readSse(
  transport: Transport,
  path: string,
  options: RequestOptions & {
    /** `null`: it may be silent for ever. */
    silenceLimitMs?: number | null;
    onOpen?: (() => void) | undefined;
  },
): AsyncGenerator<EventSourceMessage> {
  const connection = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, connection.signal]) : connection.signal;
  const limit = options.silenceLimitMs === undefined ? silenceLimitMs : options.silenceLimitMs;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const listen = (): void => {
    clearTimeout(timer);
    if (limit === null) return;
    const silent = new BerthError('unavailable', `the event stream was silent for ${limit / 1000} s`);
    timer = setTimeout(() => connection.abort(silent), limit);
  };
  listen();
  try {
    const response = await transport.send('GET', path, {
      ...options,
      headers: { ...options.headers, accept: 'text/event-stream' },
      signal,
    });
    options.onOpen?.();
    if (response.body === null) throw new BerthError('upstream_failed', 'the event stream has no body');
    const heard = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        listen();
        controller.enqueue(chunk);
      },
    });
    const messages = response.body
      .pipeThrough(heard)
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream());
    const reader = messages.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (error) {
    if (options.signal?.aborted) throw new BerthError('cancelled', 'the operation was cancelled', { cause: error });
    throw networkFailure(error, transport.baseUrl);
  } finally {
    clearTimeout(timer);
    connection.abort();
  }
}
