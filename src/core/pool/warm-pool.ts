import { asBerthError } from '../../protocol/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import type { SandboxRecord } from '../ports/store.ts';
import { slotHolding } from '../sandboxes/slots.ts';
import { findSandbox } from '../sandboxes/records.ts';
import { backoffMs } from '../turns/retry-policy.ts';
import { lendRepository, makeWarm, removeUnowned } from './make-warm.ts';
import { planWarm } from './warm-plan.ts';

/**
 * Keeps sandboxes running that no session owns yet, so that the next one need not wait for its own to be made. One is
 * made at a time, behind the work of sessions.
 */
export interface WarmPool {
  /** Slots were taken or came free: what is missing is made, what is too much removed, soon. Cheap. */
  wake(): void;
  /** Removes those that ended or that a new version has overtaken. */
  check(): Promise<void>;
  /** Brings the configured repositories up to date, here and in the warm sandboxes that have them. */
  refresh(): Promise<void>;
  status(): WarmStatus;
  close(): Promise<void>;
}

export interface WarmStatus {
  wanted: number;
  making: number;
  /** Why none is made although some are missing: the last failure, or what the machine is short of. */
  held: string | null;
}

/** Sessions that have just begun come first. */
const settleMs = 250;
const backoff = { firstDelayMs: 1_000, maxDelayMs: 300_000 };
const callTimeoutMs = 180_000;

export function createWarmPool(deps: Dependencies): WarmPool {
  const { store, providers, clock, logger, settings } = deps;
  const closing = new AbortController();
  const status: WarmStatus = { wanted: 0, making: 0, held: null };
  // A provider that cannot give a sandbox its limits later cannot have warm ones.
  const enabled = () => settings.warm.count > 0 && providers.first.capabilities.update === 'live';
  let pending = false;
  let running: Promise<void> | null = null;
  let failures = 0;

  const callSignal = () => AbortSignal.any([closing.signal, AbortSignal.timeout(callTimeoutMs)]);

  async function keep(): Promise<void> {
    while (pending && !closing.signal.aborted) {
      await clock.sleep(settleMs, closing.signal).catch(() => {});
      pending = false;
      while (!closing.signal.aborted && (await step())) {
        // What is missing changes with every claim, so it is looked at again after each.
      }
    }
  }

  /** Makes or removes one; false when nothing is to be done now. */
  async function step(): Promise<boolean> {
    const awake = await store.read.sandboxes({ hostId: settings.hostId, statuses: slotHolding });
    const used = awake.filter(({ sessionId }) => sessionId !== null).length;
    const plan = planWarm(settings.warm, settings.slots - used, awake.filter(isWarm));
    status.wanted = plan.wanted;
    const [surplus] = plan.surplus;
    if (surplus !== undefined) {
      await removeUnowned(deps, surplus.id);
      return true;
    }
    const [kind] = plan.missing;
    if (kind === undefined) {
      status.held = null;
      return false;
    }
    const shortage = await deps.hostPressure();
    if (shortage !== null) {
      status.held = shortage;
      return false;
    }
    return make(kind);
  }

  async function make(kind: string | null): Promise<boolean> {
    status.making = 1;
    try {
      await makeWarm(deps, kind, callSignal());
      failures = 0;
      status.held = null;
      return true;
    } catch (error) {
      if (closing.signal.aborted) return false;
      failures += 1;
      status.held = asBerthError(error).message;
      const delayMs = backoffMs(backoff, failures, Math.random());
      logger.warn({ err: error, repository: kind, delayMs }, 'a warm sandbox could not be made');
      await clock.sleep(delayMs, closing.signal).catch(() => {});
      return true;
    } finally {
      status.making = 0;
    }
  }

  const warmOnes = async () => (await store.read.sandboxes({ hostId: settings.hostId, statuses: ['running'], unowned: true })).filter(isWarm);

  return {
    wake() {
      if (!enabled() || closing.signal.aborted) return;
      pending = true;
      running ??= keep()
        .catch((error: unknown) => logger.error({ err: error }, 'the warm sandboxes could not be kept'))
        .finally(() => {
          running = null;
          if (pending) this.wake();
        });
    },

    async check() {
      if (!enabled()) return;
      for (const sandbox of await warmOnes()) {
        const { id } = sandbox;
        const found = await findSandbox(deps, sandbox, callSignal());
        if (found?.status === 'running' && found.outdated !== true) continue;
        logger.info({ sandboxId: id, status: found?.status ?? 'gone' }, 'a warm sandbox is replaced');
        await removeUnowned(deps, id);
      }
      this.wake();
    },

    async refresh() {
      const warm = await warmOnes();
      const connected = settings.warm.mirrorConnected ? await store.read.repositories() : [];
      for (const url of new Set([...settings.warm.preclone, ...connected.map((each) => each.url)])) {
        try {
          const own = warm.filter((each) => each.warm?.repositoryUrl === url);
          if (own.length === 0) await deps.git.updateMirror(url, () => {}, callSignal());
          // A session may claim it in between, and gains by it.
          for (const each of own) await lendRepository(deps, each, url, callSignal());
        } catch (error) {
          if (closing.signal.aborted) return;
          logger.warn({ err: error, repository: url }, 'a repository could not be fetched ahead');
        }
      }
    },

    status: () => ({ ...status }),

    async close() {
      closing.abort();
      await running;
    },
  };
}

export function isWarm({ sessionId, status, warm }: SandboxRecord): boolean {
  return sessionId === null && status === 'running' && warm !== null;
}
