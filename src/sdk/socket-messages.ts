import { BerthError } from '../protocol/errors.ts';
import { silenceLimitMs } from './sse.ts';
import type { RequestOptions, Transport } from './transport.ts';
import { openWebSocket } from './web-socket.ts';

/**
 * The text messages of one WebSocket, until it ends: for browsers, which keep at most six HTTP connections to a server over all
 * their tabs, so that six streams would leave none for anything else. Throws as `readSse` does.
 */
export async function* readSocket(
  transport: Transport,
  path: string,
  options: Pick<RequestOptions, 'signal'> & {
    query?: Record<string, string | number | undefined>;
    silenceLimitMs?: number;
    onOpen?: (() => void) | undefined;
    /** An ordinary request whose failure tells why a handshake was refused. */
    explain: () => Promise<unknown>;
  },
): AsyncGenerator<{ data: string }> {
  const { signal, query, explain } = options;
  const limit = options.silenceLimitMs ?? silenceLimitMs;
  const queue: string[] = [];
  let failure: BerthError | null = null;
  let ended = false;
  let wake = (): void => undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const finish = (error: BerthError | null): void => {
    ended = true;
    failure ??= error;
    wake();
  };
  const listen = (): void => {
    clearTimeout(timer);
    timer = setTimeout(
      () => finish(new BerthError('unavailable', `the event stream was silent for ${limit / 1000} s`)),
      limit,
    );
  };
  const onAbort = (): void => finish(new BerthError('cancelled', 'the operation was cancelled'));
  const prepare = (opening: WebSocket): void => {
    opening.addEventListener('message', (message) => {
      listen();
      if (typeof message.data !== 'string') return;
      queue.push(message.data);
      wake();
    });
    opening.addEventListener('close', (event) => {
      const { code } = event as Partial<CloseEvent>;
      finish(code === 1000 ? null : new BerthError('unavailable', 'the connection to the server was lost'));
    });
  };
  const socket = await openWebSocket(transport, path, {
    signal,
    explain,
    prepare,
    ...(query === undefined ? {} : { query }),
  });
  options.onOpen?.();
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  listen();
  try {
    for (;;) {
      const data = queue.shift();
      if (data !== undefined) yield { data };
      else if (failure !== null) throw failure;
      else if (ended) return;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    socket.close(1000);
  }
}
