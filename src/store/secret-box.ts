import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { SecretBox } from '../core/ports/secrets.ts';
import { BerthError } from '../protocol/errors.ts';
import { readOrCreateKey } from './key-file.ts';

/** AES-256-GCM with the sizes of NIST SP 800-38D: a 96-bit random nonce and the whole 128-bit tag. */
const algorithm = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;
/** Names format and algorithm; authenticated too, so that a later version's text cannot be passed off as this one's. */
const prefix = 'v1.';

/**
 * Seals with the installation's key, which is read from `keyFilePath` and made there when absent (see
 * `key-file.ts`). Sealed text is `v1.` and base64url of nonce, ciphertext and tag.
 */
export async function createSecretBox(keyFilePath: string): Promise<SecretBox> {
  const key = await readOrCreateKey(keyFilePath);
  const aad = Buffer.from(prefix);

  return {
    seal(plaintext) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes }).setAAD(aad);
      const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()]);
      return prefix + Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]).toString('base64url');
    },

    open(sealed) {
      if (!sealed.startsWith(prefix)) throw notSealed('unknown format');
      const bytes = Buffer.from(sealed.slice(prefix.length), 'base64url');
      if (bytes.length < nonceBytes + tagBytes) throw notSealed('too short');
      const nonce = bytes.subarray(0, nonceBytes);
      const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes })
        .setAAD(aad)
        .setAuthTag(bytes.subarray(-tagBytes));
      try {
        const plaintext = Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()]);
        return plaintext.toString('utf8');
      } catch (error) {
        throw notSealed('wrong key or altered text', error);
      }
    },
  };
}

function notSealed(reason: string, cause?: unknown): BerthError {
  return new BerthError('internal', 'the text was not sealed by this key', { context: { reason }, cause });
}
