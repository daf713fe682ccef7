/** Every column that holds a sealed secret: what a rotation seals anew. A new one belongs in here. */
export const sealedColumns = [
  { table: 'github_app', key: 'singleton', columns: ['sealed_private_key', 'sealed_webhook_secret', 'sealed_client_secret'] },
  { table: 'secrets', key: 'id', columns: ['sealed'] },
  { table: 'model_keys', key: 'id', columns: ['sealed'] },
] as const;
