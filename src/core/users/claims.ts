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
} from './permissions.ts';
import type { Principal } from './principal.ts';
import { sessionRights, snapshotRights, taskRights, teamRights } from './rights.ts';

/** What a request asks to be allowed, and about what; the thing is named by its id. */
export type Claim =
  | { needs: GeneralPermission }
  /** `missing`: what is said when there is none, or none that may be seen. */
  | { needs: SessionPermission; session: string; missing?: BerthError }
  /** An id, or the caller's own name for one. */
  | { needs: SnapshotPermission; snapshot: string }
  | { needs: TaskPermission; task: string }
  | { needs: TeamPermission; team: string };

export type ClaimReads = Pick<
  StoreReads,
  'session' | 'snapshot' | 'snapshots' | 'task' | 'team' | 'teamMembers' | 'sessionShares'
>;

/**
 * Lets a claim pass, or throws: `not_found` for what there is not or the principal may not see, which are told alike;
 * `forbidden`, naming what is needed, for what he may see but not do.
 */
export async function requireClaim(reads: ClaimReads, principal: Principal, claim: Claim): Promise<void> {
  requirePermission(principal, claim.needs, await rightsIn(reads, principal, claim));
}

async function rightsIn(reads: ClaimReads, principal: Principal, claim: Claim): Promise<ReadonlySet<Right>> {
  if ('session' in claim) {
    const session = await reads.session(claim.session);
    const isThere = session !== null && session.deletingAt === null;
    return visible(isThere ? await sessionRights(reads, principal, session) : null, () => {
      return claim.missing ?? new BerthError('not_found', `there is no session ${claim.session}`, { field: 'id' });
    });
  }
  if ('snapshot' in claim) {
    const { snapshot } = claim;
    const found =
      (await reads.snapshot(snapshot)) ?? (await reads.snapshots({ owner: principal.user, name: snapshot }))[0] ?? null;
    return visible(found === null ? null : snapshotRights(principal, found), () => {
      return new BerthError('not_found', `there is no snapshot ${snapshot}`, { field: 'snapshot' });
    });
  }
  if ('task' in claim) {
    const task = await reads.task(claim.task);
    return visible(task === null ? null : await taskRights(reads, principal, task), () => {
      return new BerthError('not_found', 'there is no such task', { field: 'id' });
    });
  }
  if ('team' in claim) {
    const isThere = (await reads.team(claim.team)) !== null;
    return visible(isThere ? await teamRights(reads, principal, claim.team) : null, () => {
      return new BerthError('not_found', `there is no team ${claim.team}`, { field: 'team' });
    });
  }
  return new Set();
}

function visible(rights: ReadonlySet<Right> | null, missing: () => BerthError): ReadonlySet<Right> {
  if (rights === null || !rights.has('view')) throw missing();
  return rights;
}
