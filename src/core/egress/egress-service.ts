import type { EgressEntry, EgressPolicy, EgressView } from '../../protocol/egress.ts';
import { BerthError } from '../../protocol/errors.ts';
import { actorOf } from '../audit/actor.ts';
import type { Clock } from '../ports/clock.ts';
import type { EgressControl } from '../ports/egress.ts';
import type { Logger } from '../ports/logger.ts';
import type { EgressFilter, SessionRecord, Store } from '../ports/store.ts';
import { createEgressRecorder } from './egress-recorder.ts';
import type { SessionNetworks } from '../sandboxes/session-network.ts';
import { judgeEgress } from './judge-egress.ts';
import { networkModeOf, requireAllowedPolicy, type EgressSettings } from './network-mode.ts';

export interface EgressService extends EgressControl {
  view(sessionId: string): Promise<EgressView>;
  /** What was decided for all sessions, latest first. */
  list(filter: EgressFilter): Promise<EgressEntry[]>;
  /**
   * `null`: the server's default again. Holds from the next connection on; with `full` taken away, open ones of the sandbox's own
   * network end. Throws `forbidden` or `unsupported` for `full` where there is none.
   */
  set(sessionId: string, policy: EgressPolicy | null, by: string): Promise<EgressView>;
  /** Adds one rule to what the session has. No-op when it is there. */
  allow(sessionId: string, rule: string, by: string): Promise<EgressView>;
  /** Writes what is still to be told. */
  close(): Promise<void>;
}

export interface EgressServiceOptions {
  store: Store;
  clock: Clock;
  logger: Logger;
  settings: EgressSettings;
  networks: SessionNetworks;
}

/** Decisions that `view` shows. */
const shownDecisions = 200;

/** Who may connect where. The policy is read at each connection, so a change holds at once. */
export function createEgressService({ store, clock, logger, settings, networks }: EgressServiceOptions): EgressService {
  const { defaultPolicy } = settings;
  const recorder = createEgressRecorder({ store, clock, logger });

  async function existing(reads: Pick<Store['read'], 'session'>, id: string): Promise<SessionRecord> {
    const session = await reads.session(id);
    if (session === null || session.deletingAt !== null) {
      throw new BerthError('not_found', `there is no session ${id}`, { field: 'id' });
    }
    return session;
  }

  async function change(id: string, by: string, next: (before: EgressPolicy) => EgressPolicy | null): Promise<EgressView> {
    await store.transaction(async (tx) => {
      const session = await existing(tx, id);
      const policy = next(session.egress ?? defaultPolicy);
      requireAllowedPolicy(settings, policy, 'policy');
      if (networkModeOf(settings, { egress: policy }) === 'full') networks.requireFull(session);
      if (JSON.stringify(policy) === JSON.stringify(session.egress)) return;
      const at = clock.now().toISOString();
      await tx.updateSession(id, { egress: policy, updatedAt: at });
      await tx.appendEvents(id, [{ at, turnId: null, type: 'egress.changed', data: { by, ...(policy ?? defaultPolicy) } }]);
      const detail = { default: policy === null, ...(policy ?? defaultPolicy) };
      await tx.appendAudit([{ at, actor: actorOf(by), action: 'egress.policy_set', target: id, sessionId: id, detail }]);
    });
    // Also when nothing was changed: what failed the last time is tried again.
    await networks.apply(id);
    return view(id);
  }

  async function view(id: string): Promise<EgressView> {
    const session = await existing(store.read, id);
    await recorder.flush();
    const decisions = await store.read.egressDecisions(id, shownDecisions);
    return {
      policy: session.egress ?? defaultPolicy,
      isDefault: session.egress === null,
      decisions: decisions.map(({ sessionId: _sessionId, ...decision }) => decision),
    };
  }

  return {
    async judge(sessionId, target) {
      try {
        const session = await existing(store.read, sessionId);
        return judgeEgress(session.egress ?? defaultPolicy, gitHostOf(session), target);
      } catch (error) {
        logger.warn({ sessionId, err: error }, 'a connection could not be judged');
        return { allowed: false, reason: 'the policy could not be read' };
      }
    },
    async hasFullNetwork(sessionId) {
      try {
        return networkModeOf(settings, await existing(store.read, sessionId)) === 'full';
      } catch (error) {
        logger.warn({ sessionId, err: error }, 'it could not be told whether a session has a network');
        return false;
      }
    },
    record: recorder.record,
    view,
    async list(filter) {
      await recorder.flush();
      const records = await store.read.egressDecisionsOfAll(filter);
      const ids = [...new Set(records.map(({ sessionId }) => sessionId))];
      const sessions = ids.length === 0 ? [] : await store.read.sessions({ ids, limit: ids.length });
      const byId = new Map(sessions.map((session) => [session.id, session]));
      return records.map((record) => {
        const session = byId.get(record.sessionId);
        const allowedSince =
          !record.allowed &&
          session !== undefined &&
          judgeEgress(session.egress ?? defaultPolicy, gitHostOf(session), record).allowed;
        return { ...record, allowedSince };
      });
    },
    set: (id, policy, by) => change(id, by, () => policy),
    allow: (id, rule, by) =>
      change(id, by, (before) => (before.allow.includes(rule) ? before : { ...before, allow: [...before.allow, rule] })),
    close: recorder.close,
  };
}

/** `null` for a repository on this machine, or none. */
function gitHostOf({ repositoryUrl }: SessionRecord): string | null {
  if (repositoryUrl === null || !URL.canParse(repositoryUrl)) return null;
  const { hostname, port } = new URL(repositoryUrl);
  if (hostname === '') return null;
  return port === '' ? hostname.toLowerCase() : `${hostname.toLowerCase()}:${port}`;
}
