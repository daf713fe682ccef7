import type { Insertable, Selectable } from 'kysely';
import { z } from 'zod';
import type { SecretRecord } from '../../core/ports/store.ts';
import { fromJson, toJson } from '../json.ts';
import type { SecretsTable } from '../schema.ts';

const hosts = z.array(z.string());

export function secretColumns({ holder, ...record }: SecretRecord): Insertable<SecretsTable> {
  return {
    id: record.id,
    user: holder.kind === 'user' ? holder.name : null,
    team: holder.kind === 'team' ? holder.name : null,
    name: record.name,
    hosts: toJson(record.hosts),
    header: record.header,
    template: record.template,
    sealed: record.sealed,
    created_at: record.createdAt,
    updated_at: record.updatedAt,
  };
}

export function toSecret(row: Selectable<SecretsTable>): SecretRecord {
  return {
    id: row.id,
    holder: row.team === null ? { kind: 'user', name: row.user ?? '' } : { kind: 'team', name: row.team },
    name: row.name,
    hosts: fromJson(hosts, 'secrets.hosts', row.hosts),
    header: row.header,
    template: row.template,
    sealed: row.sealed,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
