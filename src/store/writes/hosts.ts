import { sql, type Kysely } from 'kysely';
import type { StoreTransaction } from '../../core/ports/store.ts';
import type { Engine } from '../engine.ts';
import type { Database } from '../schema.ts';

type HostWrites = Pick<
  StoreTransaction,
  'registerHost' | 'renewLease' | 'adoptUnowned' | 'deleteHost' | 'saveKeyCheck'
>;

export function hostWrites(db: Kysely<Database>, engine: Engine): HostWrites {
  return {
    async registerHost({ id, address, slots, leaseMs, registeredAt }) {
      const before = await db.selectFrom('hosts').select('epoch').where('id', '=', id).executeTakeFirst();
      const { rows } = await sql<{ now: string }>`select ${engine.later(0)} as now`.execute(db);
      // By the time, so that a host that was forgotten does not get an epoch a second time.
      const epoch = Math.max((before?.epoch ?? 0) + 1, Date.parse(rows[0]!.now));
      const lease_until = leaseMs === null ? null : engine.later(leaseMs);
      await db
        .insertInto('hosts')
        .values({ id, address, slots, epoch, lease_until, registered_at: registeredAt })
        .onConflict((on) =>
          on.column('id').doUpdateSet({ address, slots, epoch, lease_until, registered_at: registeredAt }),
        )
        .execute();
      return epoch;
    },

    async renewLease(id, epoch, leaseMs) {
      const result = await db
        .updateTable('hosts')
        .set({ lease_until: engine.later(leaseMs) })
        .where('id', '=', id)
        .where('epoch', '=', epoch)
        .where('lease_until', '>', engine.later(0))
        .executeTakeFirstOrThrow();
      return Number(result.numUpdatedRows) === 1;
    },

    async adoptUnowned(hostId) {
      await db.updateTable('sandboxes').set({ host_id: hostId }).where('host_id', 'is', null).execute();
      await db.updateTable('snapshots').set({ host_id: hostId }).where('host_id', 'is', null).execute();
      await db
        .updateTable('turns')
        .set({ host_id: hostId })
        .where('host_id', 'is', null)
        .where('state', 'in', ['starting', 'running'])
        .execute();
    },

    async deleteHost(id) {
      await db.deleteFrom('hosts').where('id', '=', id).execute();
    },

    async saveKeyCheck(keyCheck) {
      await db.insertInto('installation').values({ singleton: 1, key_check: keyCheck }).execute();
    },
  };
}
