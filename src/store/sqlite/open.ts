import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { BerthError } from '../../protocol/errors.ts';
import { asStoreError } from './errors.ts';

export interface OpenDatabase {
  writer: DatabaseSync;
  /** A second connection, which sees the last commit also while a transaction is open. Wants the schema in place. */
  openReader(): DatabaseSync;
  /** Closes both. */
  close(): void;
}

export interface OpenOptions {
  path: string;
  busyTimeoutMs: number;
}

/**
 * Opens the database for writing. WAL lets the reader go on during a transaction. `synchronous=FULL`
 * syncs the log at every commit, so that a commit outlives a power loss as well as a `kill -9`; the cost
 * is one fsync a commit, in which this thread stands still.
 *
 * `:memory:` is a file in the temporary directory, never synced, removed on close (and left over by a kill), since two
 * connections cannot share a database in memory without blocking each other.
 */
export function openDatabase(options: OpenOptions): OpenDatabase {
  return options.path === ':memory:' ? openTemporary(options) : open(options, 'full');
}

function openTemporary(options: OpenOptions): OpenDatabase {
  const directory = mkdtempSync(path.join(tmpdir(), 'berth-store-'));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  try {
    const database = open({ ...options, path: path.join(directory, 'store.db') }, 'off');
    return {
      ...database,
      close() {
        database.close();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

function open({ path: file, busyTimeoutMs }: OpenOptions, synchronous: 'full' | 'off'): OpenDatabase {
  const opened: DatabaseSync[] = [];
  const connect = (readOnly: boolean): DatabaseSync => {
    const database = new DatabaseSync(file, { readOnly, timeout: busyTimeoutMs, enableForeignKeyConstraints: true });
    opened.unshift(database);
    return database;
  };
  // The writer, opened first, is closed last and so folds the log into the file.
  const close = (): void => {
    for (const database of opened.splice(0)) database.close();
  };
  try {
    makeFile(file);
    const writer = connect(false);
    writer.exec('pragma journal_mode = wal');
    writer.exec(`pragma synchronous = ${synchronous}`);
    // Without it `insert or replace` removes a row behind the triggers that guard the event log.
    writer.exec('pragma recursive_triggers = on');
    return { writer, openReader: () => connect(true), close };
  } catch (error) {
    close();
    throw asStoreError(error);
  }
}

/** Made here to be the owner's alone; SQLite gives its log the same mode. */
function makeFile(file: string): void {
  try {
    closeSync(openSync(file, 'a', 0o600));
  } catch (error) {
    throw new BerthError('unavailable', `the database file ${file} cannot be opened`, {
      context: { file },
      cause: error,
    });
  }
}
