import type { SecretBox, SecretVault } from '../../core/ports/secrets.ts';

/** A vault for tests of what stores secrets: sealed by the installation's key alone. */
export function boxVault(box: SecretBox): SecretVault {
  return {
    seal: async (plaintext) => box.seal(plaintext),
    open: async (sealed) => box.open(sealed),
    rotate: () => Promise.reject(new Error('this vault does not rotate')),
  };
}
