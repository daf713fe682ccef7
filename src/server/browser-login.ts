import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { BerthError } from '../protocol/errors.ts';
import { createSignedClaims } from './signed-claims.ts';

/**
 * How a browser is signed in without ever keeping a token: a link with a code that is good once, or a
 * token typed in, is exchanged for a signed cookie that scripts cannot read. Code and cookie name the token they
 * came from by digest, so both end with it. Nothing is stored: a code's use is remembered by this
 * process until the code would have ended anyway.
 */
export interface BrowserLogin {
  /** Other installations on the same host, whatever their port, have cookies of another name. */
  readonly cookieName: string;
  readonly cookieMaxAgeSeconds: number;
  /** Unless told otherwise it is good for an hour. */
  createCode(tokenHash: string, lifeMs?: number): { code: string; expiresAt: Date };
  /** The digest of the token that the code stands for. Throws `unauthorized` for a used, ended or wrong one. */
  redeemCode(code: string): string;
  signCookie(tokenHash: string): string;
  /** `null` for a cookie that is not ours or has ended. */
  readCookie(value: string): string | null;
}

export interface BrowserLoginOptions {
  secret: Uint8Array;
  now: () => Date;
}

/** Long enough to walk from the terminal to the browser. */
const codeLifeMs = 60 * 60_000;
/** Until somebody has read a mail. */
export const inviteLifeMs = 24 * 60 * 60_000;
const cookieLifeMs = 30 * 24 * 60 * 60_000;

const claims = z.strictObject({ token: z.string(), expiresAt: z.number(), nonce: z.string() });
type Claims = z.infer<typeof claims>;

export function createBrowserLogin({ secret, now }: BrowserLoginOptions): BrowserLogin {
  /** Codes that were used, with when they would have ended. */
  const used = new Map<string, number>();

  const signed = createSignedClaims(secret, claims);

  const seal = (purpose: string, token: string, lifeMs: number): { value: string; expiresAt: Date } => {
    const expiresAt = now().getTime() + lifeMs;
    const value = signed.sign(purpose, { token, expiresAt, nonce: randomBytes(12).toString('base64url') });
    return { value, expiresAt: new Date(expiresAt) };
  };

  const open = (purpose: string, value: string): Claims | null => {
    const opened = signed.open(purpose, value);
    return opened !== null && opened.expiresAt > now().getTime() ? opened : null;
  };

  return {
    cookieName: `berth_session_${createHash('sha256').update(secret).digest('hex').slice(0, 8)}`,
    cookieMaxAgeSeconds: cookieLifeMs / 1000,
    createCode(tokenHash, lifeMs = codeLifeMs) {
      const { value, expiresAt } = seal('code', tokenHash, lifeMs);
      return { code: value, expiresAt };
    },
    redeemCode(code) {
      for (const [nonce, endsAt] of used) if (endsAt <= now().getTime()) used.delete(nonce);
      const opened = open('code', code);
      if (opened === null || used.has(opened.nonce)) {
        throw new BerthError('unauthorized', 'this sign-in link was used or has ended: berth open prints a new one', {
          field: 'code',
        });
      }
      used.set(opened.nonce, opened.expiresAt);
      return opened.token;
    },
    signCookie: (tokenHash) => seal('cookie', tokenHash, cookieLifeMs).value,
    readCookie: (value) => open('cookie', value)?.token ?? null,
  };
}
