import type { Selectable } from 'kysely';
import type { HostRecord } from '../../core/ports/store.ts';
import type { HostsTable } from '../schema.ts';

/** `live` comes from the query: whether a lease has run out is for the database's clock to say. */
export function toHost(row: Selectable<HostsTable> & { live: number | boolean }): HostRecord {
  return {
    id: row.id,
    address: row.address,
    slots: row.slots,
    epoch: row.epoch,
    leaseUntil: row.lease_until,
    live: Boolean(row.live),
    registeredAt: row.registered_at,
  };
}
