import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { createSignedClaims } from '../signed-claims.ts';

/** What somebody may look at, by whose token. */
export interface PreviewGrant {
  sessionId: string;
  port: number;
  /** Digest of the token that asked for the link: the preview ends with it, and with its user's rights. */
  tokenHash: string;
}

/**
 * Signed links to previews. A *link* is followed once and becomes a *visit*, in a cookie of the preview's own host; an
 * *address* stays in the path, where previews have no hosts of their own. All are bound to one port of one session and end.
 */
export interface PreviewLinks {
  /** Other installations on the same host have cookies of another name. */
  readonly cookieName: string;
  readonly visitMaxAgeSeconds: number;
  createLink(grant: PreviewGrant): { text: string; expiresAt: Date };
  /** `null` for one that was used, has ended or is not ours. */
  redeemLink(text: string): PreviewGrant | null;
  createVisit(grant: PreviewGrant): string;
  readVisit(text: string): PreviewGrant | null;
  createAddress(grant: PreviewGrant): { text: string; expiresAt: Date };
  readAddress(text: string): PreviewGrant | null;
}

const linkLifeMs = 10 * 60_000;
/** A day of work in one tab. */
const visitLifeMs = 12 * 60 * 60_000;

const claims = z.strictObject({
  sessionId: z.string(),
  port: z.number(),
  tokenHash: z.string(),
  expiresAt: z.number(),
  nonce: z.string(),
});

export function createPreviewLinks({ secret, now }: { secret: Uint8Array; now: () => Date }): PreviewLinks {
  const signed = createSignedClaims(secret, claims);
  /** Links that were followed, with when they would have ended. */
  const used = new Map<string, number>();

  const make = (purpose: string, grant: PreviewGrant, lifeMs: number): { text: string; expiresAt: Date } => {
    const expiresAt = now().getTime() + lifeMs;
    const text = signed.sign(purpose, { ...grant, expiresAt, nonce: randomBytes(12).toString('base64url') });
    return { text, expiresAt: new Date(expiresAt) };
  };
  const read = (purpose: string, text: string): z.infer<typeof claims> | null => {
    const opened = signed.open(purpose, text);
    return opened !== null && opened.expiresAt > now().getTime() ? opened : null;
  };
  const grantOf = (opened: z.infer<typeof claims> | null): PreviewGrant | null =>
    opened === null ? null : { sessionId: opened.sessionId, port: opened.port, tokenHash: opened.tokenHash };

  return {
    cookieName: `berth_preview_${createHash('sha256').update(secret).digest('hex').slice(0, 8)}`,
    visitMaxAgeSeconds: visitLifeMs / 1000,
    createLink: (grant) => make('link', grant, linkLifeMs),
    redeemLink(text) {
      for (const [nonce, endsAt] of used) if (endsAt <= now().getTime()) used.delete(nonce);
      const opened = read('link', text);
      if (opened === null || used.has(opened.nonce)) return null;
      used.set(opened.nonce, opened.expiresAt);
      return grantOf(opened);
    },
    createVisit: (grant) => make('visit', grant, visitLifeMs).text,
    readVisit: (text) => grantOf(read('visit', text)),
    createAddress: (grant) => make('address', grant, visitLifeMs),
    readAddress: (text) => grantOf(read('address', text)),
  };
}
