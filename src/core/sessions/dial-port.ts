import type { Duplex } from 'node:stream';
import { asBerthError, BerthError } from '../../protocol/errors.ts';
import { runnerPort } from '../../protocol/runner-api.ts';
import type { Dependencies } from '../dependencies.ts';
import type { SessionSandboxes } from '../sandboxes/session-sandboxes.ts';

/**
 * A byte stream to a port of the session's sandbox, which is woken for it and not put to rest while the stream is
 * open. Throws `upstream_failed` when nothing listens there.
 */
export async function dialPort(
  deps: Pick<Dependencies, 'providers' | 'store'>,
  sandboxes: SessionSandboxes,
  sessionId: string,
  port: number,
  signal: AbortSignal,
): Promise<Duplex> {
  const session = await deps.store.read.session(sessionId);
  const provider = session === null ? deps.providers.first : deps.providers.of(session.provider);
  if (provider.capabilities.ports === 'none') {
    throw new BerthError('unsupported', `ports of the provider ${provider.name} cannot be reached`, {
      field: 'provider',
    });
  }
  const release = sandboxes.hold(sessionId);
  try {
    const { sandboxId, runner } = await sandboxes.ensure(sessionId, signal);
    // The provider's way to this port is to the runner; whoever else listens on it is reached from inside.
    const stream = await (port === runnerPort
      ? runner.dialPort(port, signal)
      : provider.dial(sandboxId, port, { signal }));
    stream.once('close', release);
    // Its taker hears of a break by `close`; without a listener here it would end the server.
    stream.on('error', () => {});
    return stream;
  } catch (cause) {
    release();
    if (asBerthError(cause).code !== 'unavailable' || signal.aborted) throw cause;
    const message = `nothing listens on port ${port} in the sandbox`;
    throw new BerthError('upstream_failed', message, { field: 'port', context: { port }, cause });
  }
}
