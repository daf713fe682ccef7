import { sessionActor } from '../audit/actor.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { SecretControl } from '../ports/secret-control.ts';
import type { Store } from '../ports/store.ts';

export interface SecretUses {
  record: SecretControl['recordUse'];
  /** Writes what is still to be told. */
  close(): Promise<void>;
}

/** The first use is told at once; what follows within this time is told together. */
const tellEveryMs = 60_000;

interface Use {
  sessionId: string;
  secret: string;
  host: string;
  count: number;
}

/** Tells the audit log which secret was used where, one entry a minute for each session, secret and host. */
export function createSecretUses({ store, clock, logger }: { store: Store; clock: Clock; logger: Logger }): SecretUses {
  /** Told within the last minute, with what came since. */
  const recent = new Map<string, Use>();
  const closing = new AbortController();
  let tail: Promise<void> = Promise.resolve();

  function tell({ sessionId, secret, host, count }: Use): void {
    const at = clock.now().toISOString();
    tail = tail
      .then(() =>
        store.transaction((tx) =>
          tx.appendAudit([{ at, actor: sessionActor(sessionId), action: 'secret.used', target: secret, sessionId, detail: { host, count } }]),
        ),
      )
      .catch((error: unknown) => logger.error({ sessionId, secret, host, err: error }, 'the use of a secret could not be stored'));
  }

  async function tellLater(key: string, use: Use): Promise<void> {
    for (;;) {
      await clock.sleep(tellEveryMs, closing.signal).catch(() => {});
      if (use.count === 0) break;
      tell(use);
      use.count = 0;
      if (closing.signal.aborted) break;
    }
    recent.delete(key);
  }

  return {
    record(sessionId, { host, port }, secrets) {
      for (const { name } of secrets) {
        const key = JSON.stringify([sessionId, name, host, port]);
        const known = recent.get(key);
        if (known !== undefined) {
          known.count += 1;
          continue;
        }
        const use = { sessionId, secret: name, host: `${host}:${port}`, count: 0 };
        recent.set(key, use);
        tell({ ...use, count: 1 });
        void tellLater(key, use);
      }
    },
    async close() {
      for (const use of recent.values()) if (use.count > 0) tell(use);
      for (const use of recent.values()) use.count = 0;
      closing.abort();
      await tail;
    },
  };
}
