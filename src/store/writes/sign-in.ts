import type { Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import { complete } from '../rows/columns.ts';
import { deviceRequestColumns, linkedAccountColumns } from '../rows/sign-in.ts';
import type { Database } from '../schema.ts';
import { requireRow } from './require-row.ts';

type SignInWrites = Pick<
  StoreTransaction,
  | 'insertLinkedAccount'
  | 'updateLinkedAccount'
  | 'deleteLinkedAccount'
  | 'insertDeviceRequest'
  | 'updateDeviceRequest'
  | 'deleteDeviceRequest'
  | 'deleteDeviceRequestsUntil'
>;

export function signInWrites(db: Kysely<Database>): SignInWrites {
  return {
    async insertLinkedAccount(record) {
      await db
        .insertInto('linked_accounts')
        .values(complete(linkedAccountColumns(record)))
        .execute();
    },

    async updateLinkedAccount(id, values) {
      const result = await db
        .updateTable('linked_accounts')
        .set({ ...linkedAccountColumns(values), id })
        .where('id', '=', id)
        .executeTakeFirstOrThrow();
      requireRow(result, 'linked account', id);
    },

    async deleteLinkedAccount(id) {
      await db.deleteFrom('linked_accounts').where('id', '=', id).execute();
    },

    async insertDeviceRequest(record) {
      await db
        .insertInto('device_requests')
        .values(complete(deviceRequestColumns(record)))
        .execute();
    },

    async updateDeviceRequest(deviceHash, values) {
      const result = await db
        .updateTable('device_requests')
        .set({ ...deviceRequestColumns(values), device_hash: deviceHash })
        .where('device_hash', '=', deviceHash)
        .executeTakeFirstOrThrow();
      requireRow(result, 'device request', deviceHash);
    },

    async deleteDeviceRequest(deviceHash) {
      await db.deleteFrom('device_requests').where('device_hash', '=', deviceHash).execute();
    },

    async deleteDeviceRequestsUntil(at) {
      await db.deleteFrom('device_requests').where('expires_at', '<=', at).execute();
    },
  };
}
