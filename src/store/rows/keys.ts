import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { DataKeyRecord, ModelKeyRecord } from '../../core/ports/store.ts';
import { keyScope, modelApi } from '../../protocol/keys.ts';
import { check } from '../json.ts';
import type { DataKeysTable, ModelKeysTable } from '../schema.ts';
import type { Columns } from './columns.ts';

const kinds: z.ZodType<ModelKeyRecord['kind']> = z.enum(['api_key', 'oauth']);

export function modelKeyColumns(key: Partial<ModelKeyRecord>): Columns<ModelKeysTable> {
  return {
    id: key.id,
    scope: key.scope,
    subject: key.subject,
    name: key.name,
    api: key.api,
    base_url: key.baseUrl,
    kind: key.kind,
    sealed: key.sealed,
    expires_at: key.expiresAt,
    token_url: key.tokenUrl,
    client_id: key.clientId,
    renewing_until: key.renewingUntil,
    created_at: key.createdAt,
    updated_at: key.updatedAt,
  };
}

export function toModelKey(row: Selectable<ModelKeysTable>): ModelKeyRecord {
  return {
    id: row.id,
    scope: check(keyScope, 'model_keys.scope', row.scope),
    subject: row.subject,
    name: row.name,
    api: check(modelApi, 'model_keys.api', row.api),
    baseUrl: row.base_url,
    kind: check(kinds, 'model_keys.kind', row.kind),
    sealed: row.sealed,
    expiresAt: row.expires_at,
    tokenUrl: row.token_url,
    clientId: row.client_id,
    renewingUntil: row.renewing_until,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export function dataKeyColumns(key: DataKeyRecord): Columns<DataKeysTable> {
  return {
    id: key.id,
    wrapper: key.wrapper,
    wrapped: key.wrapped,
    created_at: key.createdAt,
    retired_at: key.retiredAt,
  };
}

export function toDataKey(row: Selectable<DataKeysTable>): DataKeyRecord {
  return {
    id: row.id,
    wrapper: row.wrapper,
    wrapped: row.wrapped,
    createdAt: row.created_at,
    retiredAt: row.retired_at,
  };
}
