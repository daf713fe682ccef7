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
