import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { Engine } from '../engine.ts';
import { create, index } from './tables.ts';

/** The first tables; `schema.ts` documents them. */
export function initial(engine: Engine): Migration {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await createSessionTables(db, engine);
      await createSandboxTable(db, engine);
      await createAccessTables(db, engine);
      await createGithubTables(db, engine);
      await createQueueTables(db, engine);
      await engine.sealEvents(db);
      await engine.complete(db);
    },
  };
}

async function createSessionTables(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const { id, big } = engine;

  await create(db, 'sessions', engine, (table) =>
    table
      .addColumn('id', id, (c) => c.primaryKey())
      .addColumn('owner', id, (c) => c.notNull())
      .addColumn('title', 'text', (c) => c.notNull())
      .addColumn('status', 'text', (c) => c.notNull())
      .addColumn('status_reason', 'text')
      .addColumn('agent', 'text', (c) => c.notNull())
      .addColumn('agent_argv', 'text')
      .addColumn('provider', 'text', (c) => c.notNull())
      .addColumn('template', 'text', (c) => c.notNull())
      .addColumn('sandbox_id', id)
      .addColumn('forked_from', id)
      .addColumn('repository_url', 'text')
      .addColumn('base_branch', 'text')
      .addColumn('branch', 'text')
      .addColumn('base_commit', 'text')
      .addColumn('cwd', 'text', (c) => c.notNull())
      .addColumn('limits', 'text', (c) => c.notNull())
      .addColumn('env', 'text', (c) => c.notNull())
      .addColumn('mcp_servers', 'text', (c) => c.notNull())
      .addColumn('acp_session_id', 'text')
      .addColumn('mode_id', 'text')
      .addColumn('config', 'text', (c) => c.notNull())
      .addColumn('author', 'text')
      .addColumn('permissions', 'text', (c) => c.notNull())
      .addColumn('permission_timeout_ms', big, (c) => c.notNull())
      .addColumn('last_seq', big, (c) => c.notNull())
      .addColumn('journal_id', 'text')
      .addColumn('journal_seq', big, (c) => c.notNull())
      .addColumn('deleting_at', 'text')
      .addColumn('created_at', 'text', (c) => c.notNull())
      .addColumn('updated_at', 'text', (c) => c.notNull()),
  );
  await index(db, 'sessions_by_owner', 'sessions', ['owner', 'id']);
  await index(db, 'sessions_by_sandbox', 'sessions', ['sandbox_id']);

  await create(db, 'journals', engine, (table) =>
    table
      .addColumn('session_id', id, (c) => c.notNull().references('sessions.id').onDelete('cascade'))
      .addColumn('journal_id', id, (c) => c.notNull())
      .addColumn('seq', big, (c) => c.notNull())
      .addPrimaryKeyConstraint('journals_key', ['session_id', 'journal_id']),
  );

  await create(db, 'turns', engine, (table) =>
    table
      .addColumn('ordinal', big, (c) => engine.identity(c))
      .addColumn('id', id, (c) => c.notNull().unique())
      .addColumn('session_id', id, (c) => c.notNull().references('sessions.id').onDelete('cascade'))
      .addColumn('idempotency_key', id)
      .addColumn('state', 'text', (c) => c.notNull())
      .addColumn('prompt', 'text', (c) => c.notNull())
      .addColumn('by', 'text', (c) => c.notNull())
      .addColumn('priority', 'integer', (c) => c.notNull())
      .addColumn('webhook_url', 'text')
      .addColumn('webhook_events', 'text', (c) => c.notNull())
      .addColumn('cancel_requested_at', 'text')
      .addColumn('attempts', 'integer', (c) => c.notNull())
      .addColumn('retry_at', 'text')
      .addColumn('claimed_at', 'text')
      .addColumn('estimated_wait_ms', big)
      .addColumn('queue_position', 'integer')
      .addColumn('stop_reason', 'text')
      .addColumn('usage', 'text')
      .addColumn('error', 'text')
      .addColumn('created_at', 'text', (c) => c.notNull())
      .addColumn('started_at', 'text')
      .addColumn('ended_at', 'text')
      .addUniqueConstraint('turns_idempotency', ['session_id', 'idempotency_key']),
  );
  await index(db, 'turns_by_state', 'turns', ['state']);
  await index(db, 'turns_by_claim', 'turns', ['claimed_at']);
  // Whatever the callers do, two turns of one session never run at once.
  await db.schema
    .createIndex('turns_one_active')
    .unique()
    .on('turns')
    .column('session_id')
    .where(sql.ref('state'), 'in', sql`('starting', 'running')`)
    .execute();

  await create(db, 'events', engine, (table) =>
    table
      .addColumn('session_id', id, (c) => c.notNull().references('sessions.id').onDelete('cascade'))
      .addColumn('seq', big, (c) => c.notNull())
      .addColumn('at', 'text', (c) => c.notNull())
      .addColumn('turn_id', 'text')
      .addColumn('type', 'text', (c) => c.notNull())
      .addColumn('data', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('events_key', ['session_id', 'seq']),
  );

  await create(db, 'permissions', engine, (table) =>
    table
      .addColumn('session_id', id, (c) => c.notNull().references('sessions.id').onDelete('cascade'))
      .addColumn('request_id', id, (c) => c.notNull())
      .addColumn('turn_id', 'text')
      .addColumn('tool_call', 'text', (c) => c.notNull())
      .addColumn('options', 'text', (c) => c.notNull())
      .addColumn('state', 'text', (c) => c.notNull())
      .addColumn('option_id', 'text')
      .addColumn('answered_by', 'text')
      .addColumn('requested_at', 'text', (c) => c.notNull())
      .addColumn('expires_at', 'text', (c) => c.notNull())
      .addColumn('resolved_at', 'text')
      .addPrimaryKeyConstraint('permissions_key', ['session_id', 'request_id']),
  );
}

async function createSandboxTable(db: Kysely<unknown>, engine: Engine): Promise<void> {
  await create(db, 'sandboxes', engine, (table) =>
    table
      .addColumn('id', engine.id, (c) => c.primaryKey())
      .addColumn('session_id', engine.id, (c) => c.references('sessions.id').onDelete('set null'))
      .addColumn('provider', 'text', (c) => c.notNull())
      .addColumn('template', 'text', (c) => c.notNull())
      .addColumn('status', 'text', (c) => c.notNull())
      .addColumn('limits', 'text', (c) => c.notNull())
      .addColumn('created_at', 'text', (c) => c.notNull())
      .addColumn('updated_at', 'text', (c) => c.notNull()),
  );
  await index(db, 'sandboxes_by_session', 'sandboxes', ['session_id']);
}

async function createAccessTables(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const { id } = engine;
  await create(db, 'idempotent_responses', engine, (table) =>
    table
      .addColumn('scope', id, (c) => c.notNull())
      .addColumn('key', id, (c) => c.notNull())
      .addColumn('request_hash', 'text', (c) => c.notNull())
      .addColumn('status', 'integer', (c) => c.notNull())
      .addColumn('body', 'text', (c) => c.notNull())
      .addColumn('created_at', 'text', (c) => c.notNull())
      .addPrimaryKeyConstraint('idempotent_responses_key', ['scope', 'key']),
  );
  await create(db, 'tokens', engine, (table) =>
    table
      .addColumn('id', id, (c) => c.primaryKey())
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('owner', 'text', (c) => c.notNull())
      .addColumn('hash', id, (c) => c.notNull().unique())
      .addColumn('created_at', 'text', (c) => c.notNull()),
  );
}

async function createGithubTables(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const { id, big } = engine;
  await create(db, 'repositories', engine, (table) =>
    table
      .addColumn('id', id, (c) => c.primaryKey())
      .addColumn('url', id, (c) => c.notNull().unique())
      .addColumn('forge', 'text')
      .addColumn('owner', 'text')
      .addColumn('name', 'text')
      .addColumn('installation_id', big)
      .addColumn('settings', 'text', (c) => c.notNull())
      .addColumn('created_at', 'text', (c) => c.notNull()),
  );
  await create(db, 'github_app', engine, (table) =>
    table
      .addColumn('singleton', 'integer', (c) => c.primaryKey().check(sql`singleton = 1`))
      .addColumn('app_id', big, (c) => c.notNull())
      .addColumn('slug', 'text', (c) => c.notNull())
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('client_id', 'text', (c) => c.notNull())
      .addColumn('sealed_private_key', 'text', (c) => c.notNull())
      .addColumn('sealed_webhook_secret', 'text', (c) => c.notNull())
      .addColumn('sealed_client_secret', 'text')
      .addColumn('api_url', 'text', (c) => c.notNull())
      .addColumn('html_url', 'text', (c) => c.notNull())
      .addColumn('created_at', 'text', (c) => c.notNull()),
  );
  await create(db, 'tasks', engine, (table) =>
    table
      .addColumn('id', id, (c) => c.primaryKey())
      .addColumn('repository_id', id, (c) => c.notNull().references('repositories.id'))
      .addColumn('issue_number', big, (c) => c.notNull())
      .addColumn('pull_number', big)
      .addColumn('session_id', id, (c) => c.unique().references('sessions.id').onDelete('set null'))
      .addColumn('state', 'text', (c) => c.notNull())
      .addColumn('comment_id', big)
      .addColumn('turn_id', id, (c) => c.references('turns.id').onDelete('set null'))
      .addColumn('trigger', 'text', (c) => c.notNull())
      .addColumn('pending', 'text', (c) => c.notNull())
      .addColumn('pushed_commit', 'text')
      .addColumn('error', 'text')
      .addColumn('created_at', 'text', (c) => c.notNull())
      .addColumn('updated_at', 'text', (c) => c.notNull())
      .addUniqueConstraint('tasks_issue', ['repository_id', 'issue_number'])
      .addUniqueConstraint('tasks_pull', ['repository_id', 'pull_number']),
  );
  await index(db, 'tasks_by_state', 'tasks', ['state']);
  await index(db, 'tasks_by_turn', 'tasks', ['turn_id']);
  await create(db, 'deliveries', engine, (table) =>
    table
      .addColumn('ordinal', big, (c) => engine.identity(c))
      .addColumn('id', id, (c) => c.notNull().unique())
      .addColumn('event', 'text', (c) => c.notNull())
      .addColumn('state', 'text', (c) => c.notNull())
      .addColumn('reason', 'text')
      .addColumn('payload', 'text', (c) => c.notNull())
      .addColumn('received_at', 'text', (c) => c.notNull())
      .addColumn('attempts', 'integer', (c) => c.notNull()),
  );
  await index(db, 'deliveries_by_state', 'deliveries', ['state']);
}

async function createQueueTables(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const { id } = engine;
  await create(db, 'dead_letters', engine, (table) =>
    table
      .addColumn('turn_id', id, (c) => c.primaryKey().references('turns.id').onDelete('cascade'))
      .addColumn('session_id', id, (c) => c.notNull())
      .addColumn('code', 'text', (c) => c.notNull())
      .addColumn('message', 'text', (c) => c.notNull())
      .addColumn('attempts', 'integer', (c) => c.notNull())
      .addColumn('failed_at', 'text', (c) => c.notNull())
      .addColumn('replayed_at', 'text')
      .addColumn('replay_turn_id', id),
  );
  await index(db, 'dead_letters_by_time', 'dead_letters', ['failed_at']);
  await index(db, 'dead_letters_by_session', 'dead_letters', ['session_id']);
  await create(db, 'webhooks', engine, (table) =>
    table
      .addColumn('id', id, (c) => c.primaryKey())
      .addColumn('turn_id', id, (c) => c.notNull())
      .addColumn('event', 'text', (c) => c.notNull())
      .addColumn('url', 'text', (c) => c.notNull())
      .addColumn('payload', 'text', (c) => c.notNull())
      .addColumn('state', 'text', (c) => c.notNull())
      .addColumn('attempts', 'integer', (c) => c.notNull())
      .addColumn('next_attempt_at', 'text', (c) => c.notNull())
      .addColumn('last_error', 'text')
      .addColumn('created_at', 'text', (c) => c.notNull())
      .addColumn('delivered_at', 'text'),
  );
  await index(db, 'webhooks_due', 'webhooks', ['state', 'next_attempt_at']);
}
