import { readFile } from 'node:fs/promises';
import { signInSettings, type SignInSettings } from '../core/users/sign-in/settings.ts';
import { BerthError } from '../protocol/errors.ts';

export interface SignInConfig {
  settings: SignInSettings;
  /** By the name of the provider. */
  clientSecrets: ReadonlyMap<string, string>;
}

const field = 'BERTH_SIGN_IN';

/** By what people may sign in. Throws `invalid_request` naming the variable and the entry at fault: a wrong list lets nobody in. */
export async function readSignIn(file: string | null): Promise<SignInConfig> {
  if (file === null) return { settings: signInSettings.parse({}), clientSecrets: new Map() };
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw refuse(`${file} ${cause instanceof SyntaxError ? 'is not JSON' : 'cannot be read'}`, cause);
  }
  const parsed = signInSettings.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refuse(`${file}: ${issue?.path.join('.') || 'the settings'}: ${issue?.message ?? 'is not valid'}`);
  }
  const clientSecrets = new Map<string, string>();
  for (const [index, { name, clientSecretFile }] of parsed.data.oidc.entries()) {
    if (clientSecretFile === undefined) continue;
    const secret = await readFile(clientSecretFile, 'utf8').catch((cause: unknown) => {
      throw refuse(`oidc.${index}.clientSecretFile: ${clientSecretFile} cannot be read`, cause);
    });
    if (secret.trim() === '') throw refuse(`oidc.${index}.clientSecretFile: ${clientSecretFile} is empty`);
    clientSecrets.set(name, secret.trim());
  }
  return { settings: parsed.data, clientSecrets };
}

function refuse(why: string, cause?: unknown): BerthError {
  return new BerthError('invalid_request', `${field}: ${why}`, { field, cause });
}
