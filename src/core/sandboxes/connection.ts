import type { Dependencies } from '../dependencies.ts';
import type { BerthError } from '../../protocol/errors.ts';
import { followJournal } from '../journal/follow-journal.ts';
import type { RunnerClient } from '../ports/runner.ts';
import type { SandboxRecord } from '../ports/store.ts';
import { gatewayPort } from '../../protocol/runner-api.ts';

/** What this process holds of a running sandbox: its runner, the gateway's channel, the journal's reader. */
export interface Connection {
  sandboxId: string;
  runner: RunnerClient;
  /** Starts reading the journal; no-op when it is being read. */
  follow(): void;
  /** Lets go; the sandbox and its agent go on. */
  close(): Promise<void>;
}

export interface ConnectionOptions {
  sessionId: string;
  sandbox: Pick<SandboxRecord, 'id' | 'provider'>;
  onTurnEnded: (turnId: string) => void;
  /** Answers are kept for the agent. */
  onAnswersKept: () => void;
  /** The sandbox can no longer be reached; resolves to whether it may come back by itself. Never rejects. */
  onLost: () => Promise<boolean>;
  /** Its runner writes no journal of ours. Never rejects. */
  onRefused: (error: BerthError) => Promise<void>;
}

const firstRetryMs = 50;
const lastRetryMs = 5_000;

export function openConnection(
  deps: Pick<Dependencies, 'connectRunner' | 'gateway' | 'store' | 'clock' | 'logger' | 'settings'>,
  options: ConnectionOptions,
): Connection {
  const { sessionId, sandbox } = options;
  const runner = deps.connectRunner(sandbox);
  const stop = new AbortController();
  const gateway = keepGatewayOpen(deps, sessionId, runner, options.onLost, stop.signal);
  let following: Promise<void> | null = null;
  return {
    sandboxId: sandbox.id,
    runner,
    follow() {
      following ??= followJournal(
        {
          sessionId,
          runner,
          store: deps.store,
          clock: deps.clock,
          logger: deps.logger,
          settings: deps.settings,
          onTurnEnded: options.onTurnEnded,
          onAnswersKept: options.onAnswersKept,
          onLost: options.onLost,
          onRefused: options.onRefused,
        },
        stop.signal,
      ).finally(() => {
        // A later turn looks again.
        following = null;
      });
    },
    async close() {
      stop.abort();
      await Promise.all([gateway, following]);
      runner.close();
    },
  };
}

/** Offers the gateway to the sandbox for as long as it can be reached; its end is how the loss of an idle sandbox is noticed. */
async function keepGatewayOpen(
  deps: Pick<Dependencies, 'gateway' | 'clock' | 'logger'>,
  sessionId: string,
  runner: RunnerClient,
  onLost: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<void> {
  let retryMs = firstRetryMs;
  while (!signal.aborted) {
    try {
      const stream = await runner.openGatewayChannel(gatewayPort, signal);
      const attachment = deps.gateway.attach(sessionId, stream);
      const close = () => attachment.close();
      signal.addEventListener('abort', close, { once: true });
      if (signal.aborted) close();
      retryMs = firstRetryMs;
      await attachment.closed;
      signal.removeEventListener('abort', close);
    } catch (cause) {
      if (!signal.aborted) deps.logger.debug({ sessionId, err: cause }, 'gateway channel could not be opened');
    }
    if (signal.aborted || !(await onLost())) return;
    await deps.clock.sleep(retryMs, signal).catch(() => {});
    retryMs = Math.min(retryMs * 2, lastRetryMs);
  }
}
