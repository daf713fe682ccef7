import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { BerthError } from '../../../protocol/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { IdentityWay } from '../../ports/identity-provider.ts';
import type { SecretBox } from '../../ports/secrets.ts';
import type { Store } from '../../ports/store.ts';
import { isSameText } from '../../same-text.ts';

const contents = z.strictObject({
  purpose: z.literal('sign-in way'),
  id: z.string(),
  provider: z.string(),
  redirectUrl: z.string(),
  state: z.string(),
  nonce: z.string(),
  codeVerifier: z.string(),
  returnTo: z.string(),
  /** Whose account it becomes, and by which token that was asked; `null`: it signs in. */
  link: z.strictObject({ user: z.string(), tokenHash: z.string() }).nullable(),
  expiresAt: z.number(),
});
/** A browser's way to a provider and back, as its cookie holds it: sealed, for one use, and for a few minutes. */
export type Way = z.infer<typeof contents>;

/** Long enough to type a password and find the phone. */
export const wayLifeMs = 10 * 60_000;
const scope = 'sign-in way';
const maxCharacters = 3_500;

export interface Ways {
  make(of: Pick<Way, 'provider' | 'redirectUrl' | 'returnTo' | 'link'>): { way: Way; sealed: string };
  /** Uses it up. Throws `forbidden` for a cookie that is none or another's, `conflict` for one that was used. */
  take(sealed: string | undefined, provider: string, state: string): Promise<Way>;
}

export function createWays({ store, box, clock }: { store: Store; box: SecretBox; clock: Clock }): Ways {
  return {
    make(of) {
      const random = () => randomBytes(32).toString('base64url');
      const id = random();
      const secrets: Omit<IdentityWay, 'redirectUrl'> = { state: random(), nonce: random(), codeVerifier: random() };
      const way: Way = { purpose: 'sign-in way', id, ...of, ...secrets, expiresAt: clock.now().getTime() + wayLifeMs };
      return { way, sealed: box.seal(JSON.stringify(way)) };
    },

    async take(sealed, provider, state) {
      const way = sealed === undefined || sealed.length > maxCharacters ? null : read(box, sealed);
      const isOurs = way !== null && way.provider === provider && way.expiresAt > clock.now().getTime();
      if (!isOurs || !isSameText(way.state, state)) {
        throw new BerthError('forbidden', 'this sign-in was not begun in this browser, or took more than ten minutes', {
          field: 'state',
        });
      }
      const createdAt = clock.now().toISOString();
      await store.transaction(async (tx) => {
        if ((await tx.idempotentResponse(scope, way.id)) !== null) {
          throw new BerthError('conflict', 'this answer was used already', { field: 'state' });
        }
        await tx.saveIdempotentResponse({ scope, key: way.id, requestHash: '', status: 200, body: null, createdAt });
      });
      return way;
    },
  };
}

function read(box: SecretBox, sealed: string): Way | null {
  try {
    return contents.parse(JSON.parse(box.open(sealed)));
  } catch {
    // Whatever is wrong with it, it is not ours.
    return null;
  }
}
