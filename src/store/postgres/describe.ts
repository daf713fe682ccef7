import pg from 'pg';
import { asStoreError } from './errors.ts';
import { connectionConfig } from './pool.ts';

/** The server's version, in words. Throws `unavailable` when it cannot be reached. */
export async function describePostgres(url: string): Promise<string> {
  const client = new pg.Client(connectionConfig(url));
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ server_version: string }>('show server_version');
    return rows[0]?.server_version ?? 'unknown version';
  } catch (error) {
    throw asStoreError(error);
  } finally {
    await client.end().catch(() => {});
  }
}
