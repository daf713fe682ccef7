import { BerthError } from '../../protocol/errors.ts';
import type { StoreReads } from '../ports/store.ts';
import {
  requirePermission,
  type GeneralPermission,
  type Right,
  type SessionPermission,
  type SnapshotPermission,
  type TaskPermission,
  type TeamPermission,
  type TokenPermission,
} from './permissions.ts';
import type { Principal } from './principal.ts';
import { sessionRights, snapshotRights, taskRights, teamRights, tokenRights } from './rights.ts';

/** What a request asks to be allowed, and about what; the thing is named by its id. */
export type Claim =
  | { needs: GeneralPermission }
  /** `missing`: what is said when there is none, or none that may be seen. */
  | { needs: SessionPermission; session: string; missing?: BerthError }
  /** An id, or the caller's own name for one. */
  | { needs: SnapshotPermission; snapshot: string }
  | { needs: TaskPermission; task: string }
  | { needs: TeamPermission; team: string }
  | { needs: TokenPermission; token: string };

export type ClaimReads = Pick<
  StoreReads,
  'session' | 'snapshot' | 'snapshots' | 'task' | 'team' | 'teamMembers' | 'sessionShares' | 'token'
>;

/**
 * Lets a claim pass, or throws: `not_found` for what there is not or the principal may not see, which are told alike;
 * `forbidden`, naming what is needed, for what he may see but not do.
 */
export async function requireClaim(reads: ClaimReads, principal: Principal, claim: Claim): Promise<void> {
  const found = await find(reads, principal, claim);
  const isVisible = found.rights !== null && !found.ending && found.rights.has('view');
  if (found.missing !== null && !isVisible) throw found.missing();
  requirePermission(principal, claim.needs, found.rights ?? new Set());
}

/**
 * As `requireClaim`, of what was let pass before and goes on since: a thing that is being deleted, or gone, takes nothing
 * away; whoever waits for its end is to hear of it.
 */
export async function requireStill(reads: ClaimReads, principal: Principal, claim: Claim): Promise<void> {
  const { rights, missing } = await find(reads, principal, claim);
  if (missing !== null && rights === null) return;
  if (missing !== null && rights?.has('view') !== true) throw missing();
  requirePermission(principal, claim.needs, rights ?? new Set());
}

interface Found {
  /** On the thing that the claim is about; `null`: there is none. */
  rights: ReadonlySet<Right> | null;
  /** It is being deleted. */
  ending?: boolean;
  /** What is said when there is none, or none that may be seen; `null`: the claim is about no one thing. */
  missing: (() => BerthError) | null;
}

async function find(reads: ClaimReads, principal: Principal, claim: Claim): Promise<Found> {
  if ('session' in claim) {
    const session = await reads.session(claim.session);
    const missing = () =>
      claim.missing ?? new BerthError('not_found', `there is no session ${claim.session}`, { field: 'id' });
    if (session === null) return { rights: null, missing };
    const rights = await sessionRights(reads, principal, session);
    return { rights, ending: session.deletingAt !== null, missing };
  }
  if ('snapshot' in claim) {
    const { snapshot } = claim;
    const found =
      (await reads.snapshot(snapshot)) ?? (await reads.snapshots({ owner: principal.user, name: snapshot }))[0] ?? null;
    const missing = () => new BerthError('not_found', `there is no snapshot ${snapshot}`, { field: 'snapshot' });
    return { rights: found === null ? null : snapshotRights(principal, found), missing };
  }
  if ('task' in claim) {
    const task = await reads.task(claim.task);
    const missing = () => new BerthError('not_found', 'there is no such task', { field: 'id' });
    return { rights: task === null ? null : await taskRights(reads, principal, task), missing };
  }
  if ('team' in claim) {
    const isThere = (await reads.team(claim.team)) !== null;
    const missing = () => new BerthError('not_found', `there is no team ${claim.team}`, { field: 'team' });
    return { rights: isThere ? await teamRights(reads, principal, claim.team) : null, missing };
  }
  if ('token' in claim) {
    const token = await reads.token(claim.token);
    const missing = () => new BerthError('not_found', `there is no token ${claim.token}`, { field: 'id' });
    return { rights: token === null ? null : tokenRights(principal, token), missing };
  }
  return { rights: null, missing: null };
}
