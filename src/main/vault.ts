import type { Clock } from '../core/ports/clock.ts';
import type { KeyWrapper, SecretBox, SecretVault } from '../core/ports/secrets.ts';
import type { Store } from '../core/ports/store.ts';
import { createCommandWrapper } from '../store/secrets/command-wrapper.ts';
import { createInstallationWrapper, createKeyFileWrapper } from '../store/secrets/key-wrapper.ts';
import { createSecretVault } from '../store/secrets/vault.ts';
import type { Config } from './config.ts';

/** The vault with every wrapper that is configured: the command first, then key files, last what needs no configuration. */
export async function openVault(config: Config, store: Store, legacy: SecretBox, clock: Clock): Promise<SecretVault> {
  const { command, keyFiles } = config.kms;
  const wrappers: KeyWrapper[] = command === null ? [] : [createCommandWrapper(command, config.environment)];
  for (const path of keyFiles) wrappers.push(await createKeyFileWrapper(path));
  wrappers.push(await createInstallationWrapper(config.keyFile));
  return createSecretVault({ store, wrappers, legacy, clock });
}
