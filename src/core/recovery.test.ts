import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sessionRecord, sandboxRecord, turnRecord } from '../../test/conformance/store-records.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import type { AfterRestart, Found } from './after-restart.ts';
import { createCore, type Core } from './create-core.ts';
import type { SandboxRecord, SandboxUse, Store } from './ports/store.ts';
import { recover } from './recovery.ts';
import { createSessionSandboxes } from './sandboxes/session-sandboxes.ts';
import { createWorld, type World } from './testing/doubles.ts';

/** Every cell of the table in `after-restart.ts`, over a real store and one recovery of them all. */
const stored = ['creating', 'running', 'paused', 'hibernated', 'stopped', 'broken', 'destroying'] as const;
const found = ['none', 'running', 'paused', 'hibernated', 'stopped', 'broken'] as const;
const works = ['none', 'asking', 'busy'] as const;

/** The table, written down again: by work, then by what is found. */
const expected: Record<SandboxUse['work'], Record<Found, AfterRestart>> = {
  none: {
    none: 'forgotten',
    running: 'running',
    paused: 'paused',
    hibernated: 'hibernated',
    stopped: 'stopped',
    broken: 'broken',
  },
  asking: {
    none: 'creating',
    running: 'creating',
    paused: 'paused',
    hibernated: 'hibernated',
    stopped: 'creating',
    broken: 'creating',
  },
  busy: {
    none: 'creating',
    running: 'creating',
    paused: 'creating',
    hibernated: 'creating',
    stopped: 'creating',
    broken: 'creating',
  },
};
const cells = works.flatMap((work) => stored.flatMap((status) => found.map((is) => ({ work, status, is }))));
const at = '2026-11-28T10:00:00.000Z';

let store: Store;
let world: World;
let idOf: (cell: (typeof cells)[number]) => string;

beforeAll(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  world = createWorld(store, { slots: 200 });
  const ids = new Map<string, string>();
  idOf = ({ work, status, is }) => ids.get(`${work} ${status} ${is}`)!;
  for (const { work, status, is } of cells) {
    const sandbox = sandboxRecord({ status, provider: 'memory' });
    const session = sessionRecord({ sandboxId: sandbox.id, baseCommit: 'base', acpSessionId: 'acp' });
    ids.set(`${work} ${status} ${is}`, session.id);
    await store.transaction(async (tx) => {
      await tx.insertSession(session);
      await tx.insertSandbox({ ...sandbox, sessionId: session.id });
      if (work === 'none') return;
      const turn = turnRecord(session.id, { hostId: 'hst_test', state: 'running' });
      await tx.insertTurn(turn);
      if (work === 'busy') return;
      const question = { requestId: 'req', turnId: turn.id, toolCall: { toolCallId: 't' }, options: [] };
      const open = {
        state: 'open',
        optionId: null,
        answeredBy: null,
        requestedAt: at,
        expiresAt: '2099-01-01T00:00:00.000Z',
        resolvedAt: null,
      } as const;
      await tx.upsertPermission({ sessionId: session.id, ...question, ...open });
    });
    if (is !== 'none') world.sandboxes.set(sandbox.id, infoOf(sandbox, is));
  }
  await recover(world.deps, createSessionSandboxes(world.deps, unheard), AbortSignal.timeout(30_000));
});
afterAll(() => store.close());

const unheard = { onTurnEnded() {}, onAnswersKept() {}, onSlotFreed() {}, onSlotTaken() {}, onEvicted() {}, onFirstSandbox() {} };

function infoOf({ id, template, limits }: SandboxRecord, status: Exclude<Found, 'none'>) {
  return { id, status, template, limits, labels: {}, reference: id, createdAt: at };
}

describe.each(cells)('a sandbox that is $status, found $is, whose session has work: $work', (cell) => {
  test('is as the table says', async () => {
    const session = (await store.read.session(idOf(cell)))!;
    const sandbox = session.sandboxId === null ? null : await store.read.sandbox(session.sandboxId);
    const becomes = cell.status === 'destroying' ? 'destroying' : expected[cell.work][cell.is];
    if (becomes === 'destroying' || becomes === 'forgotten') {
      expect(sandbox).toBeNull();
      if (becomes === 'forgotten') expect(session).toMatchObject({ baseCommit: null, acpSessionId: null });
      return;
    }
    expect(sandbox?.status).toBe(becomes);
    // Nothing was done to it: what was found is still there.
    expect(world.sandboxes.get(session.sandboxId!)?.status ?? 'none').toBe(cell.is);
  });
});

test('a busy turn is driven on from each, one that sleeps over its question is not', async () => {
  const busy = cells.filter(({ status, work }) => work === 'busy' && status === 'running');
  const asking = cells.filter(
    ({ status, work, is }) => work === 'asking' && status === 'running' && is === 'hibernated',
  );
  const core: Core = createCore(world.deps);
  try {
    await core.start(AbortSignal.timeout(30_000));
    await expect
      .poll(async () => Promise.all(busy.map(async (cell) => (await use(cell))?.status)), { timeout: 30_000 })
      .toEqual(busy.map(() => 'running'));
    expect((await use(asking[0]!))?.status).toBe('hibernated');
  } finally {
    await core.close();
  }

  async function use(cell: (typeof cells)[number]) {
    return (await store.read.sandboxUses({ sessionId: idOf(cell) }))[0];
  }
});
