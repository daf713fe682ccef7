import { Agent, type AgentOptions, type ClientRequestArgs } from 'node:http';
import type { Duplex } from 'node:stream';
import { BerthError } from '../../protocol/errors.ts';

/** How a client reaches a port of its sandbox: `SandboxProvider.dial`, bound to one sandbox. */
export type Dial = (port: number, options: { signal: AbortSignal }) => Promise<Duplex>;

/** Idle connections kept to one runner. More than a few are of no use: most requests take milliseconds. */
const maxIdle = 4;

/** Node's connection pool over a provider's byte streams. */
export class DialAgent extends Agent {
  readonly #dial: Dial;
  readonly #port: number;
  readonly #closed = new AbortController();

  constructor(dial: Dial, port: number) {
    super({ keepAlive: true, maxFreeSockets: maxIdle, scheduling: 'lifo' } satisfies AgentOptions);
    this.#dial = dial;
    this.#port = port;
  }

  override createConnection(
    _options: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    void this.dial(this.#closed.signal).then(
      (stream) => callback?.(null, withSocketMethods(stream)),
      (error: Error) => (callback as ((error: Error) => void) | undefined)?.(error),
    );
  }

  /** A connection outside the pool. The caller owns it. */
  async dial(signal: AbortSignal): Promise<Duplex> {
    const stream = await this.#dial(this.#port, { signal });
    if (this.#closed.signal.aborted) {
      stream.destroy();
      throw new BerthError('cancelled', 'the runner client is closed');
    }
    return stream;
  }

  override destroy(): void {
    this.#closed.abort();
    super.destroy();
  }
}

const socketMethods = ['ref', 'unref', 'setKeepAlive', 'setNoDelay', 'setTimeout'] as const;

/** The pool calls these on whatever it keeps; a provider's stream (a WebSocket, say) need not be a socket. */
function withSocketMethods(stream: Duplex): Duplex {
  for (const method of socketMethods) {
    if (!(method in stream)) Object.defineProperty(stream, method, { value: () => stream });
  }
  return stream;
}
