import { openSecret, sealSecret } from '../../core/keys/stored-secret.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { Logger } from '../../core/ports/logger.ts';
import type { SecretVault } from '../../core/ports/secrets.ts';
import type { ModelKeyRecord, Store } from '../../core/ports/store.ts';
import { BerthError } from '../../protocol/errors.ts';
import { requestToken } from './request-token.ts';

/**
 * Renews access tokens in one place: in this process callers share one renewal, and of several servers the one that holds the
 * key's lease asks the endpoint while the others wait for what it stores. A refresh token is often good for once, so two at a
 * time would end the subscription's session. A server killed between the endpoint's answer and its commit loses the new refresh
 * token, and somebody must sign in again: no order of the two steps avoids that.
 */
export interface Renewal {
  /** Resolves to the key as it is after a renewal by whomever. Throws `unavailable`, or `forbidden` for a refresh token that is over. */
  renew(key: ModelKeyRecord): Promise<ModelKeyRecord>;
  close(): Promise<void>;
}

const requestTimeoutMs = 20_000;
/** Longer than the request and the commit after it. */
const leaseMs = 40_000;
const lookAgainMs = 250;

export function createRenewal(deps: { store: Store; vault: SecretVault; clock: Clock; logger: Logger }): Renewal {
  const { store, vault, clock, logger } = deps;
  const closing = new AbortController();
  const underWay = new Map<string, Promise<ModelKeyRecord>>();

  /** The key when this server may renew it; `null` while another does. Renewed meanwhile: the renewed one, without the lease. */
  async function lease(before: ModelKeyRecord): Promise<{ key: ModelKeyRecord; mine: boolean }> {
    return store.transaction(async (tx) => {
      const key = await tx.modelKey(before.id);
      if (key === null) throw new BerthError('not_found', 'the key was deleted');
      const now = clock.now();
      const isHeld = key.renewingUntil !== null && Date.parse(key.renewingUntil) > now.getTime();
      if (key.sealed !== before.sealed || isHeld) return { key, mine: false };
      const renewingUntil = new Date(now.getTime() + leaseMs).toISOString();
      await tx.updateModelKey(key.id, { renewingUntil });
      return { key: { ...key, renewingUntil }, mine: true };
    });
  }

  async function ask(key: ModelKeyRecord): Promise<ModelKeyRecord> {
    const secret = await openSecret(vault, key.id, key.sealed);
    if (!('refreshToken' in secret) || secret.refreshToken === null || key.tokenUrl === null) {
      throw new BerthError('forbidden', 'the token cannot be renewed: it has no refresh token');
    }
    const { tokenUrl, clientId } = key;
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(requestTimeoutMs)]);
    const renewed = await requestToken({ tokenUrl, clientId, refreshToken: secret.refreshToken }, signal);
    const sealed = await sealSecret(vault, key.id, {
      accessToken: renewed.accessToken,
      refreshToken: renewed.refreshToken ?? secret.refreshToken,
    });
    const now = clock.now();
    const expiresAt =
      renewed.expiresInSeconds === null ? null : new Date(now.getTime() + renewed.expiresInSeconds * 1000).toISOString();
    const change = { sealed, expiresAt, renewingUntil: null, updatedAt: now.toISOString() };
    await store.transaction((tx) => tx.updateModelKey(key.id, change));
    logger.info({ keyId: key.id, name: key.name }, 'a model key was renewed');
    return { ...key, ...change };
  }

  async function run(before: ModelKeyRecord): Promise<ModelKeyRecord> {
    const deadlineMs = clock.now().getTime() + leaseMs;
    for (;;) {
      const { key, mine } = await lease(before);
      if (mine) {
        try {
          return await ask(key);
        } catch (error) {
          await store.transaction((tx) => tx.updateModelKey(key.id, { renewingUntil: null }));
          throw error;
        }
      }
      if (key.sealed !== before.sealed && key.renewingUntil === null) return key;
      if (clock.now().getTime() >= deadlineMs) throw new BerthError('unavailable', 'another server is renewing the token');
      await clock.sleep(lookAgainMs, closing.signal);
    }
  }

  return {
    renew(key) {
      const known = underWay.get(key.id);
      if (known !== undefined) return known;
      const renewing = run(key).finally(() => underWay.delete(key.id));
      underWay.set(key.id, renewing);
      return renewing;
    },
    async close() {
      closing.abort();
      await Promise.allSettled(underWay.values());
    },
  };
}
