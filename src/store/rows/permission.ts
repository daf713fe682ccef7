import type { Selectable } from 'kysely';
import { z } from 'zod';
import type { PermissionRecord } from '../../core/ports/store.ts';
import { check, fromJson, parseObject, toJson } from '../json.ts';
import type { PermissionsTable } from '../schema.ts';
import type { Columns } from './columns.ts';

const states: z.ZodType<PermissionRecord['state']> = z.enum(['open', 'selected', 'cancelled', 'expired']);
const options = z.array(z.object({ optionId: z.string(), name: z.string(), kind: z.string() }));

export function permissionColumns(permission: PermissionRecord): Columns<PermissionsTable> {
  return {
    session_id: permission.sessionId,
    request_id: permission.requestId,
    turn_id: permission.turnId,
    tool_call: toJson(permission.toolCall),
    options: toJson(permission.options),
    state: permission.state,
    option_id: permission.optionId,
    answered_by: permission.answeredBy,
    requested_at: permission.requestedAt,
    expires_at: permission.expiresAt,
    resolved_at: permission.resolvedAt,
  };
}

export function toPermission(row: Selectable<PermissionsTable>): PermissionRecord {
  return {
    sessionId: row.session_id,
    requestId: row.request_id,
    turnId: row.turn_id,
    toolCall: parseObject('permissions.tool_call', row.tool_call),
    options: fromJson(options, 'permissions.options', row.options),
    state: check(states, 'permissions.state', row.state),
    optionId: row.option_id,
    answeredBy: row.answered_by,
    requestedAt: row.requested_at,
    expiresAt: row.expires_at,
    resolvedAt: row.resolved_at,
  };
}
