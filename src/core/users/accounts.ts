import type { Dependencies } from '../dependencies.ts';
import type { Account } from '../../protocol/users-api.ts';
import { createDeviceService, type DeviceService } from './device-service.ts';
import { requireClaim, requireStill, type Claim } from './claims.ts';
import { permittedOnSession, type SessionPermission } from './permissions.ts';
import { identify, type Principal } from './principal.ts';
import { sessionRights } from './rights.ts';
import { createShareService, type ShareService } from './share-service.ts';
import { createTeamService, type TeamService } from './team-service.ts';
import { createTokenService, type TokenService } from './token-service.ts';
import { createUserService, type UserService, type UserServiceOptions } from './user-service.ts';

/** Who may do what: every request is let in by this. */
export interface Accounts {
  /**
   * Whose token it is, by its digest, when each claim lets him pass. Throws `unauthorized`, and what `requireClaim` does.
   * Nothing is remembered: what was changed holds from the next call on.
   */
  admit(tokenHash: string, claims: readonly Claim[]): Promise<Principal>;
  /** The same of what was admitted before and goes on; see `requireStill`. */
  admitStill(tokenHash: string, claims: readonly Claim[]): Promise<Principal>;
  /** As its user sees it. */
  describe(principal: Principal): Promise<Account>;
  /** What he may do with a session. */
  accessTo(principal: Principal, sessionId: string): Promise<SessionPermission[]>;
  /** Keeps when a token was last used, about a minute behind. */
  noteUse(principal: Principal): void;
  /** Tells that somebody may do less than before. */
  onNarrowed(listener: () => void): () => void;
  users: UserService;
  teams: TeamService;
  tokens: TokenService;
  shares: ShareService;
  devices: DeviceService;
}

const noteEveryMs = 60_000;

export function createAccounts({ store, clock, logger }: Pick<Dependencies, 'store' | 'clock' | 'logger'>): Accounts {
  const listeners = new Set<() => void>();
  /** Tokens, with when their use was last noted. */
  const noted = new Map<string, number>();
  const options: UserServiceOptions = {
    store,
    clock,
    narrowed() {
      for (const listener of listeners) listener();
    },
  };

  async function admit(
    tokenHash: string,
    claims: readonly Claim[],
    require: typeof requireClaim,
  ): Promise<Principal> {
    const principal = await identify(store.read, tokenHash, clock.now());
    for (const claim of claims) await require(store.read, principal, claim);
    return principal;
  }

  return {
    admit: (tokenHash, claims) => admit(tokenHash, claims, requireClaim),
    admitStill: (tokenHash, claims) => admit(tokenHash, claims, requireStill),

    async describe({ user, role, scopes }) {
      const { displayName } = await this.users.get(user);
      const memberships = await store.read.teamMembers({ member: user });
      const teams = memberships.map(({ team, role: teamRole }) => ({ team, role: teamRole }));
      return { user, displayName, role, scopes: [...scopes], teams };
    },

    async accessTo(principal, sessionId) {
      const session = await store.read.session(sessionId);
      return session === null ? [] : permittedOnSession(principal, await sessionRights(store.read, principal, session));
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
    users: createUserService(options),
    teams: createTeamService(options),
    tokens: createTokenService(options),
    shares: createShareService(options),
    devices: createDeviceService(options),
  };
}
