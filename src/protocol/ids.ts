import { ulid } from 'ulid';

/** What an id names; the prefix makes an id readable in a log and refused in the wrong place. */
export const idPrefixes = {
  session: 'ses',
  turn: 'trn',
  sandbox: 'sbx',
  task: 'tsk',
  token: 'tok',
  linkedAccount: 'acc',
  repository: 'rep',
  journal: 'jnl',
  snapshot: 'snp',
  secret: 'sec',
  call: 'cal',
  templateJob: 'tpj',
  modelKey: 'key',
  dataKey: 'dky',
  budgetQuestion: 'bgt',
} as const;

export type IdKind = keyof typeof idPrefixes;

/** A new id: prefix, underscore, 26 lower-case ULID characters; sorts by time of making. */
export function newId(kind: IdKind): string {
  return `${idPrefixes[kind]}_${ulid().toLowerCase()}`;
}

export function isId(kind: IdKind, value: string): boolean {
  return new RegExp(`^${idPrefixes[kind]}_[0-9a-hjkmnp-tv-z]{26}$`).test(value);
}
