import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { BerthError } from '../../protocol/errors.ts';

/** AES-256-GCM with the sizes of NIST SP 800-38D: a 96-bit random nonce and the whole 128-bit tag. */
const algorithm = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;
export const keyBytes = 32;

/** base64url of nonce, ciphertext and tag. `context` is authenticated and must be the same to open it. */
export function sealBytes(key: Uint8Array, plaintext: Uint8Array, context: string): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes }).setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

/** Throws `internal` when it was not sealed by this key for this context. */
export function openBytes(key: Uint8Array, sealed: string, context: string): Buffer {
  const bytes = Buffer.from(sealed, 'base64url');
  if (bytes.length < nonceBytes + tagBytes) throw notSealed('too short');
  const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
    .setAAD(Buffer.from(context))
    .setAuthTag(bytes.subarray(-tagBytes));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()]);
  } catch (error) {
    throw notSealed('wrong key, wrong place or altered text', error);
  }
}

export function notSealed(reason: string, cause?: unknown): BerthError {
  return new BerthError('internal', 'the text was not sealed by this key', { context: { reason }, cause });
}
