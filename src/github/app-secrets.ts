import type { SecretPlace } from '../core/ports/secrets.ts';

/** Where the secrets of the one App are stored. */
function place(column: string): SecretPlace {
  return { table: 'github_app', row: '1', column };
}

export const appSecrets = {
  privateKey: place('sealed_private_key'),
  webhookSecret: place('sealed_webhook_secret'),
  clientSecret: place('sealed_client_secret'),
};
