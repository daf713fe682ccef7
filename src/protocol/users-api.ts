import { z } from 'zod';

/**
 * The API's part about accounts. Rules of `api.ts` hold. `docs/guides/users.md` says what each role, right and scope
 * lets its holder do; `core/users/permissions.ts` is the table.
 */

/** In the installation. `viewer` only ever looks, whatever is shared with him. */
export const userRole = z.enum(['owner', 'member', 'viewer']);
export type UserRole = z.infer<typeof userRole>;

export const teamRole = z.enum(['owner', 'member', 'viewer']);
export type TeamRole = z.infer<typeof teamRole>;

/** What a token may be used for, of what its user may; `admin` leaves nothing out. */
export const tokenScope = z.enum(['read', 'prompt', 'answer', 'manage', 'admin']);
export type TokenScope = z.infer<typeof tokenScope>;

/** What somebody may do with a session. Whoever has one of the others may look as well. */
export const shareRight = z.enum(['view', 'prompt', 'answer']);
export type ShareRight = z.infer<typeof shareRight>;

const handleText = 'small letters, digits, ".", "_" and "-", at most 39, beginning with a letter or digit';
export const handle = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,38}$/, handleText);

const displayName = z.string().trim().min(1).max(100);

export const user = z.object({
  handle: z.string(),
  displayName: z.string(),
  role: userRole,
  /** While it is set none of his tokens counts. */
  disabledAt: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
});
export type User = z.infer<typeof user>;

export const addUserRequest = z.strictObject({
  handle,
  /** Default: the handle. */
  displayName: displayName.optional(),
  role: userRole.default('member'),
});
export type AddUserRequest = z.infer<typeof addUserRequest>;

/** With a link that signs one browser in as the user, once. */
export const addedUser = z.object({ user, signIn: z.object({ url: z.string(), expiresAt: z.iso.datetime() }) });
export type AddedUser = z.infer<typeof addedUser>;

export const changeUserRequest = z
  .strictObject({ displayName: displayName.optional(), role: userRole.optional(), disabled: z.boolean().optional() })
  .refine((change) => Object.keys(change).length > 0, 'name what is to change: displayName, role, disabled');
export type ChangeUserRequest = z.infer<typeof changeUserRequest>;

export const teamMember = z.object({ user: z.string(), role: teamRole });
export const team = z.object({
  name: z.string(),
  displayName: z.string(),
  members: z.array(teamMember),
  createdAt: z.iso.datetime(),
});
export type Team = z.infer<typeof team>;

export const addTeamRequest = z.strictObject({ name: handle, displayName: displayName.optional() });
export type AddTeamRequest = z.infer<typeof addTeamRequest>;
export const teamMemberRequest = z.strictObject({ role: teamRole });

export const token = z.object({
  id: z.string(),
  name: z.string(),
  user: z.string(),
  scopes: z.array(tokenScope),
  expiresAt: z.iso.datetime().nullable(),
  /** At most a minute behind. */
  lastUsedAt: z.iso.datetime().nullable(),
  revokedAt: z.iso.datetime().nullable(),
  createdAt: z.iso.datetime(),
});
export type Token = z.infer<typeof token>;

const maxTokenSeconds = 10 * 365 * 86_400;

export const addTokenRequest = z.strictObject({
  name: z.string().trim().min(1).max(100),
  /** Default `manage`: everything about sessions, nothing about the installation or the account. */
  scopes: z.array(tokenScope).min(1).max(tokenScope.options.length).default(['manage']),
  /** Default 90 days; `null`: it does not expire. */
  expiresInSeconds: z.number().int().min(60).max(maxTokenSeconds).nullable().default(90 * 86_400),
});
export type AddTokenRequest = z.infer<typeof addTokenRequest>;

/** The one answer that has the token itself. */
export const addedToken = z.object({ token, secret: z.string() });
export type AddedToken = z.infer<typeof addedToken>;

export const shareSubject = z.object({ kind: z.enum(['user', 'team']), name: z.string() });
export const share = z.object({
  subject: shareSubject,
  rights: z.array(shareRight),
  by: z.string(),
  createdAt: z.iso.datetime(),
});
export type Share = z.infer<typeof share>;
/** Takes the place of what the subject had. */
export const shareRequest = z.strictObject({
  rights: z.array(shareRight).min(1).max(shareRight.options.length),
});

/** What there is to be allowed on a session; `copy` is a session or a snapshot of one's own from it. */
export const sessionPermission = z.enum(['session:view', 'session:prompt', 'session:answer', 'session:copy', 'session:manage']);
export type SessionPermission = z.infer<typeof sessionPermission>;
/** Of the caller, with the token that asks. */
export const sessionAccess = z.object({ permissions: z.array(sessionPermission) });
export type SessionAccess = z.infer<typeof sessionAccess>;

/** Who asks, and what he may. */
export const account = z.object({
  user: z.string(),
  displayName: z.string(),
  role: userRole,
  /** Of the token that asks. */
  scopes: z.array(tokenScope),
  teams: z.array(z.object({ team: z.string(), role: teamRole })),
});
export type Account = z.infer<typeof account>;

/**
 * | route | body -> answer |
 * |---|---|
 * | GET /api/users | -> `{ users: user[] }` by handle |
 * | POST /api/users | `addUserRequest` -> 201 `addedUser` |
 * | PATCH, DELETE /api/users/:handle | `changeUserRequest` -> `user`; -> 204; `conflict` for the last owner |
 * | POST /api/users/:handle/sign-in-link | -> 201 `{ url, expiresAt }` |
 * | GET, POST /api/users/:handle/tokens | -> `{ tokens: token[] }` newest first; `addTokenRequest` -> 201 `addedToken` |
 * | GET /api/teams | -> `{ teams: team[] }` that the caller is in; all of them for owners |
 * | POST /api/teams | `addTeamRequest` -> 201 `team` |
 * | GET, DELETE /api/teams/:team | -> `team`; -> 204: its sessions become personal |
 * | PUT, DELETE /api/teams/:team/members/:handle | `teamMemberRequest` -> `team`; -> 204 |
 * | GET, POST /api/tokens | the caller's own, as above |
 * | DELETE /api/tokens/:id | -> 204: it is revoked |
 * | GET /api/sessions/:id/shares | -> `{ shares: share[] }` |
 * | PUT, DELETE /api/sessions/:id/shares/:kind/:name | `shareRequest` -> `share`; -> 204 |
 */
