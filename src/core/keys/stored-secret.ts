import { z } from 'zod';
import type { SecretPlace, SecretVault } from '../ports/secrets.ts';

/** What of a model key is sealed, as JSON. */
const storedSecret = z.union([
  z.strictObject({ apiKey: z.string() }),
  z.strictObject({ accessToken: z.string(), refreshToken: z.string().nullable() }),
]);
export type StoredSecret = z.infer<typeof storedSecret>;

function placeOf(keyId: string): SecretPlace {
  return { table: 'model_keys', row: keyId, column: 'sealed' };
}

export function sealSecret(vault: SecretVault, keyId: string, secret: StoredSecret): Promise<string> {
  return vault.seal(JSON.stringify(secret), placeOf(keyId));
}

export async function openSecret(vault: SecretVault, keyId: string, sealed: string): Promise<StoredSecret> {
  return storedSecret.parse(JSON.parse(await vault.open(sealed, placeOf(keyId))));
}
