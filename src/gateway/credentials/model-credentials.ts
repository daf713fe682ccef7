import { sessionActor } from '../../core/audit/actor.ts';
import { openSecret } from '../../core/keys/stored-secret.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Logger } from '../../core/ports/logger.ts';
import type { ModelCredential, ModelCredentials } from '../../core/ports/model-credentials.ts';
import type { SecretVault } from '../../core/ports/secrets.ts';
import type { ModelKeyRecord, Store } from '../../core/ports/store.ts';
import type { KeyScope } from '../../protocol/keys.ts';
import type { ModelUpstreams } from '../upstreams.ts';
import { environmentCredentials } from './environment.ts';
import { createRenewal } from './renewal.ts';

export interface StoredCredentials extends ModelCredentials {
  close(): Promise<void>;
}

/** A token this close to its end is renewed before it is used: a call may take a while to arrive. */
const renewBeforeMs = 60_000;
/** That a key serves a session is told to the audit log this often, not at each call. */
const tellEveryMs = 60 * 60_000;
/** Sessions whose use was told lately that are kept in mind. */
const maxTold = 10_000;

const precedence: readonly KeyScope[] = ['user', 'team', 'server'];

/** Stored keys, then the environment's. Of several in one scope the one named `default` serves, else the first by name. */
export function createModelCredentials(deps: {
  store: Store;
  vault: SecretVault;
  environment: ModelUpstreams;
  clock: Clock;
  logger: Logger;
}): StoredCredentials {
  const { store, vault, clock, logger } = deps;
  const environment = environmentCredentials(deps.environment);
  const renewal = createRenewal({ store, vault, clock, logger });
  const told = new Map<string, number>();

  async function tellUse(sessionId: string, target: string, scope: ModelCredential['scope'], api: string): Promise<void> {
    const nowMs = clock.now().getTime();
    const key = `${sessionId} ${target}`;
    if ((told.get(key) ?? -Infinity) > nowMs - tellEveryMs) return;
    if (told.size >= maxTold) told.clear();
    told.set(key, nowMs);
    const entry = {
      at: clock.now().toISOString(),
      actor: sessionActor(sessionId),
      action: 'secret.used' as const,
      target,
      sessionId,
      detail: { api, scope },
    };
    await store.transaction((tx) => tx.appendAudit([entry]));
  }

  async function credentialOf(found: ModelKeyRecord): Promise<ModelCredential> {
    const endsMs = found.expiresAt === null ? Infinity : Date.parse(found.expiresAt);
    const key = endsMs - renewBeforeMs <= clock.now().getTime() && found.tokenUrl !== null ? await renewal.renew(found) : found;
    const secret = await openSecret(vault, key.id, key.sealed);
    return {
      label: `${key.name} (${key.scope})`,
      scope: key.scope,
      kind: key.kind,
      baseUrl: key.baseUrl,
      secret: 'apiKey' in secret ? secret.apiKey : secret.accessToken,
      async refused() {
        // An endpoint that goes on giving tokens that are refused is not asked at each call.
        const isFresh = Date.parse(key.updatedAt) > clock.now().getTime() - renewBeforeMs;
        if (key.tokenUrl === null || isFresh) return false;
        return renewal.renew(key).then(
          () => true,
          (error: unknown) => {
            logger.warn({ keyId: key.id, name: key.name, err: error }, 'a refused model key could not be renewed');
            return false;
          },
        );
      },
    };
  }

  return {
    async find(sessionId, api) {
      const session = await store.read.session(sessionId);
      if (session === null) return null;
      const teams = session.team === null ? [] : [session.team];
      const keys = await store.read.modelKeys({ api, user: session.owner, teams });
      const [nearest] = keys.toSorted(
        (a, b) =>
          precedence.indexOf(a.scope) - precedence.indexOf(b.scope) ||
          Number(b.name === 'default') - Number(a.name === 'default') ||
          (a.name < b.name ? -1 : 1),
      );
      const credential = nearest === undefined ? environment(api) : await credentialOf(nearest);
      if (credential !== null) await tellUse(sessionId, nearest?.name ?? credential.label, credential.scope, api);
      return credential;
    },
    close: () => renewal.close(),
  };
}
