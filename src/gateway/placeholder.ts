import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/**
 * The credential a sandbox gets in place of a real key: derived from the session's id, so nothing is
 * stored, and worthless outside that session's own gateway channel. It has the `sk-` shape because
 * some clients look at it.
 *
 * `secret` is the installation's own; 32 random bytes or more.
 */
export function placeholderKey(sessionId: string, secret: string | Uint8Array): string {
  const mac = createHmac('sha256', secret).update('berth placeholder key v1\0').update(sessionId);
  return `sk-berth-${mac.digest('base64url')}`;
}

/** Compares without telling by its duration how much is right, or how long the expected value is. */
export function equalSecrets(presented: string, expected: string): boolean {
  const digest = (value: string): Buffer => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(presented), digest(expected));
}
