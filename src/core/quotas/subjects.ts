import type { Quota } from '../../protocol/quota.ts';
import type { QuotaSubject } from '../../protocol/quota-subject.ts';
import type { QuotaRecord, SessionRecord } from '../ports/store.ts';

/** What holds for those that have no quota of their own. */
export interface QuotaDefaults {
  user: Quota;
  team: Quota;
}

export const noQuotas: QuotaDefaults = { user: {}, team: {} };

/** Whose quotas a session counts against: its owner's, and its team's. */
export type QuotaHolder = Pick<SessionRecord, 'owner' | 'team'>;

export function subjectsOf({ owner, team }: QuotaHolder): QuotaSubject[] {
  const user: QuotaSubject = { kind: 'user', name: owner };
  return team === null ? [user] : [user, { kind: 'team', name: team }];
}

/** Its own over the server's, limit by limit. */
export function quotaOf(subject: QuotaSubject, records: readonly QuotaRecord[], defaults: QuotaDefaults): Quota {
  const own = records.find(({ subject: of }) => of.kind === subject.kind && of.name === subject.name);
  return { ...defaults[subject.kind], ...own?.quota };
}

export function describeSubject({ kind, name }: QuotaSubject): string {
  return kind === 'team' ? `the team ${name}` : name;
}

export function countsAgainst(subject: QuotaSubject, holder: QuotaHolder): boolean {
  return subjectsOf(holder).some(({ kind, name }) => kind === subject.kind && name === subject.name);
}
