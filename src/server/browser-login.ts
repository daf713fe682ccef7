import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Store } from '../core/ports/store.ts';
import { BerthError } from '../protocol/errors.ts';
import { createSignedClaims } from './signed-claims.ts';

/**
 * How a browser is signed in without ever keeping a token: a link with a code that is good once, or a
 * token typed in, is exchanged for a signed cookie that scripts cannot read. Code and cookie name the token they
 * came from by digest, so both end with it. That a code was used is all that is stored.
 */
export interface BrowserLogin {
  /** Other installations on the same host, whatever their port, have cookies of another name. */
  readonly cookieName: string;
  readonly cookieMaxAgeSeconds: number;
  /** Unless told otherwise it is good for an hour. */
  createCode(tokenHash: string, lifeMs?: number): { code: string; expiresAt: Date };
  /** The digest of the token that the code stands for. Throws `unauthorized` for a used, ended or wrong one. */
  redeemCode(code: string): Promise<string>;
  signCookie(claims: LoginClaims): string;
  /** `null` for a cookie that is not ours or has ended. */
  readCookie(value: string): LoginClaims | null;
}

export interface LoginClaims {
  tokenHash: string;
  /** The token was made for this browser alone. */
  own: boolean;
}

export interface BrowserLoginOptions {
  secret: Uint8Array;
  now: () => Date;
  /** Keeps for good, and for all servers, that a code was used. False when it was before. */
  useUp: (nonce: string) => Promise<boolean>;
}

/** Uses codes up in the store. */
export function usedCodes(store: Store): BrowserLoginOptions['useUp'] {
  return async (nonce) => {
    const use = { scope: 'sign-in code', key: nonce, requestHash: '', status: 200, body: null };
    try {
      await store.transaction((tx) => tx.saveIdempotentResponse({ ...use, createdAt: new Date().toISOString() }));
      return true;
    } catch (error) {
      if (error instanceof BerthError && error.code === 'conflict') return false;
      throw error;
    }
  };
}

/** Long enough to walk from the terminal to the browser. */
const codeLifeMs = 60 * 60_000;
/** Until somebody has read a mail. */
export const inviteLifeMs = 24 * 60 * 60_000;
const cookieLifeMs = 30 * 24 * 60 * 60_000;

const claims = z.strictObject({ token: z.string(), own: z.boolean().optional(), expiresAt: z.number(), nonce: z.string() });
type Claims = z.infer<typeof claims>;

export function createBrowserLogin({ secret, now, useUp }: BrowserLoginOptions): BrowserLogin {
  const signed = createSignedClaims(secret, claims);

  const seal = (purpose: string, of: Pick<Claims, 'token' | 'own'>, lifeMs: number): { value: string; expiresAt: Date } => {
    const expiresAt = now().getTime() + lifeMs;
    const value = signed.sign(purpose, { ...of, expiresAt, nonce: randomBytes(12).toString('base64url') });
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
      const { value, expiresAt } = seal('code', { token: tokenHash }, lifeMs);
      return { code: value, expiresAt };
    },
    async redeemCode(code) {
      const opened = open('code', code);
      if (opened === null || !(await useUp(opened.nonce))) {
        throw new BerthError('unauthorized', 'this sign-in link was used or has ended: berth open prints a new one', {
          field: 'code',
        });
      }
      return opened.token;
    },
    signCookie: ({ tokenHash, own }) => seal('cookie', { token: tokenHash, ...(own && { own }) }, cookieLifeMs).value,
    readCookie(value) {
      const opened = open('cookie', value);
      return opened === null ? null : { tokenHash: opened.token, own: opened.own === true };
    },
  };
}
