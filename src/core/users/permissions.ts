import { BerthError } from '../../protocol/errors.ts';
import { sessionPermission, type SessionPermission, type ShareRight, type TokenScope, type UserRole } from '../../protocol/users-api.ts';
import type { Principal } from './principal.ts';

/** What somebody may do with one thing. Whoever has any of them may `view`; who may not, is told that there is no such thing. */
export type Right = ShareRight | 'manage';

interface PermissionRule {
  /** What a token needs besides, if it is narrowed. */
  scope: TokenScope;
  /** Roles in the installation that have it; absent: all. */
  roles?: readonly UserRole[];
  /** What is needed on the thing that the request is about; absent: it is about none. */
  right?: Right;
}

const makers: readonly UserRole[] = ['owner', 'member'];
const owners: readonly UserRole[] = ['owner'];

/** Every permission there is, and who has it. What is not in it nobody may do. */
export const permissionTable = {
  /** One's own account. */
  'self:view': { scope: 'read' },
  /** One's own tokens. */
  'self:manage': { scope: 'admin' },
  /** What all need: agents, the pool, the queue, repositories, whom to share with. */
  'installation:read': { scope: 'read' },
  /** What is of the machine: hosts, findings, figures. */
  'installation:inspect': { scope: 'read', roles: owners },
  'installation:manage': { scope: 'admin', roles: owners },
  'sessions:create': { scope: 'prompt', roles: makers },
  'session:view': { scope: 'read', right: 'view' },
  /** To make its agent work, and to work in its sandbox. */
  'session:prompt': { scope: 'prompt', right: 'prompt' },
  /** To answer what its agent asks. */
  'session:answer': { scope: 'answer', right: 'answer' },
  /** A session or a snapshot of one's own from it. Its copy can be worked in, so looking is not enough. */
  'session:copy': { scope: 'prompt', right: 'prompt', roles: makers },
  'session:manage': { scope: 'manage', right: 'manage' },
  'snapshot:view': { scope: 'read', right: 'view' },
  'snapshot:copy': { scope: 'prompt', right: 'prompt', roles: makers },
  'snapshot:manage': { scope: 'manage', right: 'manage' },
  'task:view': { scope: 'read', right: 'view' },
  'token:manage': { scope: 'admin', right: 'manage' },
  'team:view': { scope: 'read', right: 'view' },
  'team:manage': { scope: 'admin', right: 'manage' },
} as const satisfies Record<SessionPermission, PermissionRule> & Record<string, PermissionRule>;

export type Permission = keyof typeof permissionTable;
type On<Kind extends string> = Extract<Permission, `${Kind}:${string}`>;
export type { SessionPermission };
export type SnapshotPermission = On<'snapshot'>;
export type TaskPermission = On<'task'>;
export type TeamPermission = On<'team'>;
export type TokenPermission = On<'token'>;
/** Those that are about no one thing. */
export type GeneralPermission = On<'self'> | On<'installation'> | On<'sessions'>;

/** What each scope lets a token do, itself included. */
const implied: Record<TokenScope, readonly TokenScope[]> = {
  read: ['read'],
  prompt: ['read', 'prompt'],
  answer: ['read', 'answer'],
  manage: ['read', 'prompt', 'answer', 'manage'],
  admin: ['read', 'prompt', 'answer', 'manage', 'admin'],
};

/** Throws `forbidden` naming what is needed. `rights`: those on the thing that it is about. */
export function requirePermission(principal: Principal, permission: Permission, rights: ReadonlySet<Right> = new Set()): void {
  const refusal = whyRefused(principal, permission, rights);
  if (refusal !== null) throw refusal;
}

/** Those that somebody has on a session, of all that there are on one. */
export function permittedOnSession(principal: Principal, rights: ReadonlySet<Right>): SessionPermission[] {
  return sessionPermission.options.filter((permission) => whyRefused(principal, permission, rights) === null);
}

/** `null`: it is not refused. */
function whyRefused(principal: Principal, permission: Permission, rights: ReadonlySet<Right>): BerthError | null {
  const { scope, roles, right }: PermissionRule = permissionTable[permission];
  if (!principal.scopes.some((held) => implied[held].includes(scope))) {
    return refusal(permission, `the token lacks the scope ${scope}`, { scope });
  }
  if (roles !== undefined && !roles.includes(principal.role)) {
    return refusal(permission, `this is for the role ${roles.join(' or ')}`, { roles });
  }
  if (right !== undefined && !rights.has(right)) {
    return refusal(permission, `you lack the right to ${right} here`, { right });
  }
  return null;
}

function refusal(permission: Permission, message: string, context: Record<string, unknown>): BerthError {
  return new BerthError('forbidden', `${message} (${permission})`, { context: { needs: permission, ...context } });
}
