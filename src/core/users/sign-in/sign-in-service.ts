import { asBerthError, BerthError } from '../../../protocol/errors.ts';
import type { LinkedAccount, SignInChoices } from '../../../protocol/sign-in-api.ts';
import { serverActor } from '../../audit/actor.ts';
import { isTold } from '../../audit/told-counts.ts';
import type { Clock } from '../../ports/clock.ts';
import type { IdentityProvider, ProvenIdentity } from '../../ports/identity-provider.ts';
import type { Logger } from '../../ports/logger.ts';
import type { SecretBox } from '../../ports/secrets.ts';
import type { NewAuditEntry, Store } from '../../ports/store.ts';
import type { Accounts } from '../accounts.ts';
import { linkAccount, unlinkAccount } from './link-account.ts';
import { signInBy } from './sign-in-by.ts';
import { createWays, type Way } from './way.ts';

/** Signing in by accounts of other services. */
export interface SignInService {
  /** Those that can be used now. */
  choices(): Promise<SignInChoices['providers']>;
  /**
   * Where to send the browser; `way` goes into a cookie of this browser, and comes back with it. Throws `not_found` for a
   * provider that there is not, and what the provider throws.
   */
  begin(provider: string, request: BeginSignIn, signal: AbortSignal): Promise<{ url: string; way: string }>;
  /** Takes the browser back. Throws `forbidden` and `conflict` with what the person can do, and what the provider throws. */
  finish(provider: string, answer: SignInAnswer, signal: AbortSignal): Promise<SignedIn>;
  /** Oldest first. */
  accounts(user: string): Promise<LinkedAccount[]>;
  /** Throws `not_found`, and `conflict` for the last one: it is the way back in. */
  unlink(user: string, id: string): Promise<void>;
}

export interface BeginSignIn {
  /** Of this server, as the browser has it. */
  origin: string;
  returnTo: string;
  /** Whose account it becomes; `null`: it signs in. */
  link: { user: string; tokenHash: string } | null;
}

export interface SignInAnswer {
  /** What the cookie holds. */
  way: string | undefined;
  /** As it came, with its question mark or without. */
  query: string;
}

export type SignedIn =
  /** `tokenHash`: of a token for this browser alone. */
  | { kind: 'signed-in'; user: string; tokenHash: string; returnTo: string }
  | { kind: 'linked'; user: string; returnTo: string };

export interface SignInOptions {
  store: Store;
  box: SecretBox;
  clock: Clock;
  logger: Logger;
  accounts: Pick<Accounts, 'admit'>;
  providers: readonly IdentityProvider[];
}

export function createSignInService({ store, box, clock, logger, accounts, providers }: SignInOptions): SignInService {
  const ways = createWays({ store, box, clock });
  /** In this process; anybody may fail, so the log has only some. */
  let failed = 0;

  function require(name: string): IdentityProvider {
    const found = providers.find((each) => each.name === name);
    if (found === undefined) {
      throw new BerthError('not_found', `nobody can sign in by ${name} here`, { field: 'provider' });
    }
    return found;
  }

  async function tell(entry: Omit<NewAuditEntry, 'at' | 'actor' | 'sessionId'>): Promise<void> {
    const at = clock.now().toISOString();
    await store.transaction((tx) => tx.appendAudit([{ ...entry, at, actor: serverActor, sessionId: null }]));
  }

  async function prove(provider: IdentityProvider, answer: SignInAnswer, signal: AbortSignal): Promise<{ way: Way; identity: ProvenIdentity }> {
    try {
      const state = new URLSearchParams(answer.query).get('state') ?? '';
      const way = await ways.take(answer.way, provider.name, state);
      return { way, identity: await provider.finish(way, answer.query, signal) };
    } catch (cause) {
      const { code, context } = asBerthError(cause);
      logger.info({ provider: provider.name, code, context, err: cause }, 'a sign-in failed');
      if (isTold(failed, ++failed)) {
        await tell({ action: 'signin.failed', target: null, detail: { with: provider.name, code, count: failed } });
      }
      throw cause;
    }
  }

  return {
    async choices() {
      const ready = await Promise.all(providers.map((each) => each.isReady()));
      return providers.filter((_, index) => ready[index]).map(({ name, label, kind }) => ({ name, label, kind }));
    },

    async begin(name, { origin, returnTo, link }, signal) {
      const provider = require(name);
      const redirectUrl = `${origin.replace(/\/+$/, '')}/sign-in/${provider.name}/callback`;
      const { way, sealed } = ways.make({ provider: provider.name, redirectUrl, returnTo, link });
      return { url: await provider.begin(way, signal), way: sealed };
    },

    async finish(name, answer, signal) {
      const provider = require(name);
      const { way, identity } = await prove(provider, answer, signal);
      const { returnTo, link } = way;
      if (link !== null) {
        // What let him begin must still let him.
        const { user } = await accounts.admit(link.tokenHash, [{ needs: 'self:manage' }]);
        await linkAccount(store, clock.now(), user, provider, identity);
        return { kind: 'linked', user, returnTo };
      }
      const outcome = await signInBy(store, clock.now(), provider, identity);
      if ('refusal' in outcome) {
        await tell({
          action: 'signin.refused',
          target: outcome.user,
          detail: { with: provider.name, account: identity.label, subject: identity.subject, reason: outcome.reason },
        });
        throw new BerthError('forbidden', outcome.refusal, { context: { reason: outcome.reason } });
      }
      if (outcome.missingTeams.length > 0) {
        logger.warn({ teams: outcome.missingTeams, user: outcome.user }, 'a rule of sign-in names teams that there are not');
      }
      return { kind: 'signed-in', user: outcome.user, tokenHash: outcome.tokenHash, returnTo };
    },

    async accounts(user) {
      const issuers = await Promise.all(providers.map((each) => each.issuer()));
      return (await store.read.linkedAccounts(user)).map(({ id, issuer, label, createdAt, lastUsedAt }) => {
        const provider = providers[issuers.indexOf(issuer)];
        const service = provider?.label ?? issuer;
        return { id, provider: provider?.name ?? null, service, account: label, createdAt, lastUsedAt };
      });
    },

    unlink: (user, id) => unlinkAccount(store, clock.now(), user, id),
  };
}
