import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { IdempotentResponse, TokenRecord } from '../../core/ports/store.ts';
import { tokenScope } from '../../protocol/users-api.ts';
import { fromNullableJson, parse, toJson } from '../json.ts';
import type { IdempotentResponsesTable, TokensTable } from '../schema.ts';
import type { Columns } from './columns.ts';

export function idempotentResponseColumns(response: IdempotentResponse): Columns<IdempotentResponsesTable> {
  return {
    scope: response.scope,
    key: response.key,
    request_hash: response.requestHash,
    status: response.status,
    body: toJson(response.body ?? null) as string,
    created_at: response.createdAt,
  };
}

export function toIdempotentResponse(row: Selectable<IdempotentResponsesTable>): IdempotentResponse {
  return {
    scope: row.scope,
    key: row.key,
    requestHash: row.request_hash,
    status: row.status,
    body: parse('idempotent_responses.body', row.body),
    createdAt: row.created_at,
  };
}

const scopes = z.array(tokenScope);

export function tokenColumns(token: Partial<TokenRecord>): Columns<TokensTable> {
  return {
    id: token.id,
    name: token.name,
    owner: token.owner,
    hash: token.hash,
    scopes: toJson(token.scopes),
    expires_at: token.expiresAt,
    last_used_at: token.lastUsedAt,
    revoked_at: token.revokedAt,
    created_at: token.createdAt,
  };
}

export function toToken(row: Selectable<TokensTable>): TokenRecord {
  return {
    id: row.id,
    name: row.name,
    owner: row.owner,
    hash: row.hash,
    scopes: fromNullableJson(scopes, 'tokens.scopes', row.scopes) ?? ['admin'],
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    revokedAt: row.revoked_at,
    createdAt: row.created_at,
  };
}
