import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { DeviceRequestRecord, LinkedAccountRecord } from '../../core/ports/store.ts';
import { tokenScope } from '../../protocol/users-api.ts';
import { check, fromJson, toJson } from '../json.ts';
import type { DeviceRequestsTable, LinkedAccountsTable } from '../schema.ts';
import type { Columns } from './columns.ts';

const origin = z.enum(['person', 'rule']);
const state = z.enum(['waiting', 'approved', 'denied']);
const scopes = z.array(tokenScope);

export function linkedAccountColumns(account: Partial<LinkedAccountRecord>): Columns<LinkedAccountsTable> {
  return {
    id: account.id,
    issuer: account.issuer,
    subject: account.subject,
    owner: account.owner,
    label: account.label,
    origin: account.origin,
    created_at: account.createdAt,
    last_used_at: account.lastUsedAt,
  };
}

export function toLinkedAccount(row: Selectable<LinkedAccountsTable>): LinkedAccountRecord {
  return {
    id: row.id,
    issuer: row.issuer,
    subject: row.subject,
    owner: row.owner,
    label: row.label,
    origin: check(origin, 'linked_accounts.origin', row.origin),
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
  };
}

export function deviceRequestColumns(request: Partial<DeviceRequestRecord>): Columns<DeviceRequestsTable> {
  return {
    device_hash: request.deviceHash,
    code_hash: request.codeHash,
    client: request.client,
    address: request.address,
    scopes: toJson(request.scopes),
    state: request.state,
    owner: request.owner,
    created_at: request.createdAt,
    expires_at: request.expiresAt,
  };
}

export function toDeviceRequest(row: Selectable<DeviceRequestsTable>): DeviceRequestRecord {
  return {
    deviceHash: row.device_hash,
    codeHash: row.code_hash,
    client: row.client,
    address: row.address,
    scopes: fromJson(scopes, 'device_requests.scopes', row.scopes),
    state: check(state, 'device_requests.state', row.state),
    owner: row.owner,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}
