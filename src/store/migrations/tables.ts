import type { CreateTableBuilder, Kysely } from 'kysely';
import type { Engine } from '../engine.ts';

export async function create(
  db: Kysely<unknown>,
  name: string,
  engine: Engine,
  define: (table: CreateTableBuilder<string>) => CreateTableBuilder<string>,
): Promise<void> {
  await define(db.schema.createTable(name)).modifyEnd(engine.tableEnd).execute();
}

export async function index(db: Kysely<unknown>, name: string, table: string, columns: string[]): Promise<void> {
  await db.schema.createIndex(name).on(table).columns(columns).execute();
}
