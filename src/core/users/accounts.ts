import type { Dependencies } from '../dependencies.ts';
import { requireClaim, type Claim } from './claims.ts';
import { identify, type Principal } from './principal.ts';

/** Who may do what: every request is let in by this. */
export interface Accounts {
  /**
   * Whose token it is, by its digest, when each claim lets him pass. Throws `unauthorized`, and what `requireClaim` does.
   * Nothing is remembered: what was changed holds from the next call on.
   */
  admit(tokenHash: string, claims: readonly Claim[]): Promise<Principal>;
  /** Keeps when a token was last used, about a minute behind. */
  noteUse(principal: Principal): void;
  /** Tells that somebody may do less than before. */
  onNarrowed(listener: () => void): () => void;
}

const noteEveryMs = 60_000;

export function createAccounts({ store, clock, logger }: Pick<Dependencies, 'store' | 'clock' | 'logger'>): Accounts {
  const listeners = new Set<() => void>();
  /** Tokens, with when their use was last noted. */
  const noted = new Map<string, number>();

  return {
    async admit(tokenHash, claims) {
      const principal = await identify(store.read, tokenHash, clock.now());
      for (const claim of claims) await requireClaim(store.read, principal, claim);
      return principal;
    },

    noteUse({ tokenId }) {
      const at = clock.now();
      if (at.getTime() - (noted.get(tokenId) ?? 0) < noteEveryMs) return;
      noted.set(tokenId, at.getTime());
      store
        .transaction((tx) => tx.updateToken(tokenId, { lastUsedAt: at.toISOString() }))
        .catch((error: unknown) => logger.debug({ tokenId, err: error }, 'the use of a token was not kept'));
    },

    onNarrowed(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
