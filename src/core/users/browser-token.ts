import type { StoreTransaction, TokenRecord } from '../ports/store.ts';
import { issueToken } from './tokens.ts';

/** As long as the browser's cookie. */
const days = 30;
const dayMs = 24 * 60 * 60_000;

/** A token that nobody is told: a browser is signed in by its digest. `name` says how. */
export async function issueBrowserToken(
  tx: Pick<StoreTransaction, 'insertToken' | 'appendAudit'>,
  owner: string,
  name: string,
  at: Date,
): Promise<TokenRecord> {
  const expiresAt = new Date(at.getTime() + days * dayMs).toISOString();
  return (await issueToken(tx, { name, owner, scopes: ['admin'], expiresAt }, at)).record;
}
