import type { Kysely } from 'kysely';
import type { StoreReads } from '../../core/ports/store.ts';
import { toDeviceRequest, toLinkedAccount } from '../rows/sign-in.ts';
import type { Database } from '../schema.ts';

type SignInReads = Pick<
  StoreReads,
  'linkedAccount' | 'linkedAccounts' | 'deviceRequest' | 'deviceRequestByCode' | 'deviceRequestCount'
>;

export function signInReads(db: Kysely<Database>): SignInReads {
  return {
    async linkedAccount(issuer, subject) {
      const row = await db
        .selectFrom('linked_accounts')
        .selectAll()
        .where('issuer', '=', issuer)
        .where('subject', '=', subject)
        .executeTakeFirst();
      return row === undefined ? null : toLinkedAccount(row);
    },

    async linkedAccounts(owner) {
      const rows = await db.selectFrom('linked_accounts').selectAll().where('owner', '=', owner).orderBy('id').execute();
      return rows.map(toLinkedAccount);
    },

    async deviceRequest(deviceHash) {
      const row = await db
        .selectFrom('device_requests')
        .selectAll()
        .where('device_hash', '=', deviceHash)
        .executeTakeFirst();
      return row === undefined ? null : toDeviceRequest(row);
    },

    async deviceRequestByCode(codeHash) {
      const row = await db.selectFrom('device_requests').selectAll().where('code_hash', '=', codeHash).executeTakeFirst();
      return row === undefined ? null : toDeviceRequest(row);
    },

    async deviceRequestCount() {
      const { count } = await db
        .selectFrom('device_requests')
        .select(({ fn }) => fn.countAll<number | string>().as('count'))
        .executeTakeFirstOrThrow();
      return Number(count);
    },
  };
}
