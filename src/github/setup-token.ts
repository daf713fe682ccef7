import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../core/ports/clock.ts';
import type { SecretBox } from '../core/ports/secrets.ts';
import type { Store, StoreTransaction } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';

/** GitHub gives an hour from the page to the end of the registration. */
export const setupLifetimeMs = 60 * 60_000;

const contents = z.object({
  purpose: z.enum(['link', 'state']),
  /** Of the link; a state carries its link's. */
  linkId: z.string(),
  /** Of this token. */
  id: z.string(),
  /** The App that may be replaced, by id. */
  replaces: z.number().nullable(),
  expiresAt: z.string(),
  /** Who asked for the link. */
  by: z.string(),
});
export type SetupToken = z.infer<typeof contents>;

/**
 * Tokens of the set-up page: sealed with the server's key, so that nobody else can make or change one,
 * and good for an hour. Which were used is in the store.
 */
export interface SetupTokens {
  make(purpose: SetupToken['purpose'], of: { linkId?: string; replaces: number | null; by: string }): { text: string; token: SetupToken };
  /** Throws `forbidden` for anything that is not a good token of this purpose. */
  open(purpose: SetupToken['purpose'], text: string): SetupToken;
  /** Throws `conflict` when it was used. */
  refuseUsed(id: string): Promise<void>;
  /** Throws `conflict` when it was used, so that of two at once one is refused. */
  use(tx: StoreTransaction, id: string): Promise<void>;
}

const maxCharacters = 2_000;
const scope = 'github-setup';

export function createSetupTokens(store: Store, secrets: SecretBox, clock: Clock): SetupTokens {
  const used = () => new BerthError('conflict', 'this set-up link was used already');
  return {
    make(purpose, { linkId, replaces, by }) {
      const id = randomBytes(16).toString('base64url');
      const expiresAt = new Date(clock.now().getTime() + setupLifetimeMs).toISOString();
      const token: SetupToken = { purpose, linkId: linkId ?? id, id, replaces, expiresAt, by };
      return { text: secrets.seal(JSON.stringify(token)), token };
    },
    open(purpose, text) {
      const token = text.length > maxCharacters ? null : read(secrets, text);
      if (token === null || token.purpose !== purpose || Date.parse(token.expiresAt) <= clock.now().getTime()) {
        throw new BerthError('forbidden', 'this set-up link is not valid, or its hour is over; ask the server for a new one');
      }
      return token;
    },
    async refuseUsed(id) {
      if ((await store.read.idempotentResponse(scope, id)) !== null) throw used();
    },
    async use(tx, id) {
      if ((await tx.idempotentResponse(scope, id)) !== null) throw used();
      const createdAt = clock.now().toISOString();
      await tx.saveIdempotentResponse({ scope, key: id, requestHash: '', status: 200, body: null, createdAt });
    },
  };
}

function read(secrets: SecretBox, text: string): SetupToken | null {
  try {
    return contents.parse(JSON.parse(secrets.open(text)));
  } catch {
    // Whatever is wrong with it, it is not ours.
    return null;
  }
}
