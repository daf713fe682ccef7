import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EgressFilter, ModelUsageRecord, NewEvent, SnapshotRecord, Store, SessionShareRecord, StoreTransaction, TokenRecord, UserRecord } from '../../src/core/ports/store.ts';
import { snapshotSourceOf } from '../../src/core/sessions/fork-session.ts';
import { newId } from '../../src/protocol/ids.ts';
import type { TokenScope } from '../../src/protocol/users-api.ts';
import { auditSuite } from './store-audit.ts';
import { keySuite } from './store-keys.ts';
import { secretSuite } from './store-secrets.ts';
import { signInSuite } from './store-sign-in.ts';
import {
  deadLetterRecord,
  deliveryRecord,
  githubAppRecord,
  messageEvent,
  permissionRecord,
  repositoryRecord,
  sandboxRecord,
  sessionRecord,
  taskRecord,
  turnRecord,
  webhookRecord,
} from './store-records.ts';

const at = '2026-01-01T00:00:00.000Z';

/**
 * What every store must do. `createStore` makes an empty store, or opens again the one that was closed:
 * `reopen` is called after `close`, on the same data. `destroy` removes the data.
 */
export interface StoreUnderTest {
  store: Store;
  reopen(): Promise<Store>;
  destroy(): Promise<void>;
  /** Runs SQL beside the store, as another program with the database's password can. */
  sql(statements: string): Promise<void>;
  /** As `sql`, after the triggers that guard the audit log were taken away. */
  tamper(statements: string): Promise<void>;
}

export function storeSuite(name: string, createStore: () => Promise<StoreUnderTest>): void {
  describe(`store: ${name}`, () => {
    let subject: StoreUnderTest;
    let store: Store;

    beforeEach(async () => {
      subject = await createStore();
      store = subject.store;
    });
    afterEach(async () => {
      await store.close();
      await subject.destroy();
    });

    const write = <T>(fn: (tx: StoreTransaction) => Promise<T>): Promise<T> => store.transaction(fn);

    async function givenSession(change: Parameters<typeof sessionRecord>[0] = {}): Promise<string> {
      const record = sessionRecord(change);
      await write((tx) => tx.insertSession(record));
      return record.id;
    }

    auditSuite(() => subject);
    keySuite(() => subject);
    secretSuite(() => subject);
    signInSuite(() => subject);

    describe('transactions', () => {
      test('apply everything or nothing', async () => {
        const kept = sessionRecord();
        const undone = sessionRecord();
        await write((tx) => tx.insertSession(kept));
        const failure = new Error('no');
        const attempt = write(async (tx) => {
          await tx.insertSession(undone);
          await tx.updateSession(kept.id, { title: 'changed' });
          await tx.appendEvents(kept.id, [messageEvent('a')]);
          throw failure;
        });
        await expect(attempt).rejects.toBe(failure);
        expect(await store.read.session(undone.id)).toBeNull();
        expect(await store.read.session(kept.id)).toEqual(kept);
        expect(await store.read.events(kept.id, 0, 10)).toEqual([]);
      });

      test('see their own writes, which others see after the commit only', async () => {
        const id = await givenSession({ title: 'before' });
        await write(async (tx) => {
          await tx.updateSession(id, { title: 'after' });
          expect((await tx.session(id))?.title).toBe('after');
          expect((await store.read.session(id))?.title).toBe('before');
        });
        expect((await store.read.session(id))?.title).toBe('after');
      });

      test('do not make reads wait', async () => {
        const id = await givenSession();
        const gate = Promise.withResolvers<void>();
        const begun = Promise.withResolvers<void>();
        const open = write(async (tx) => {
          await tx.updateSession(id, { title: 'later' });
          begun.resolve();
          await gate.promise;
        });
        await begun.promise;
        expect((await store.read.session(id))?.title).toBe('Fix the build');
        gate.resolve();
        await open;
      });

      test('asked for at once all apply, none on a stale read', async () => {
        const id = await givenSession({ title: '0' });
        const increment = (): Promise<void> =>
          write(async (tx) => {
            const session = await tx.session(id);
            await Promise.resolve();
            await tx.updateSession(id, { title: String(Number(session?.title) + 1) });
          });
        await Promise.all(Array.from({ length: 40 }, increment));
        expect((await store.read.session(id))?.title).toBe('40');
      });

      test('commit nothing once a call in them failed, even if that was caught', async () => {
        const id = await givenSession({ title: 'before' });
        const attempt = write(async (tx) => {
          await tx.updateSession(id, { title: 'after' });
          await tx.insertTurn(turnRecord('ses_absent')).catch(() => {});
          // What follows may fail too, or seem to work.
          await tx.updateSession(id, { title: 'later' }).catch(() => {});
        });
        await expect(attempt).rejects.toMatchObject({ code: 'not_found' });
        expect((await store.read.session(id))?.title).toBe('before');
      });

      test('asked for at once that look before they insert make one record', async () => {
        const id = await givenSession();
        const ask = (): Promise<string> =>
          write(async (tx) => {
            const known = await tx.turnByKey(id, 'k');
            if (known !== null) return known.id;
            const turn = turnRecord(id, { idempotencyKey: 'k' });
            await tx.insertTurn(turn);
            return turn.id;
          });
        const answers = await Promise.all(Array.from({ length: 20 }, ask));
        expect(new Set(answers).size).toBe(1);
        expect(await store.read.turns(id)).toHaveLength(1);
      });

      test('one that fails does not hold up the next', async () => {
        const failing = write(() => Promise.reject(new Error('no')));
        const next = write((tx) => tx.insertDelivery(deliveryRecord()));
        await expect(failing).rejects.toThrow('no');
        expect(await next).toBe(true);
      });

      test('inside another is refused, and not waited for for ever', async () => {
        await write(async () => {
          await expect(write(async () => undefined)).rejects.toMatchObject({ code: 'internal' });
        });
      });

      test('can be begun by what a finished one started', async () => {
        const later = Promise.withResolvers<void>();
        let follow: Promise<boolean> | undefined;
        await write(async () => {
          follow = later.promise.then(() => write((tx) => tx.insertDelivery(deliveryRecord())));
        });
        later.resolve();
        expect(await follow).toBe(true);
      });

      test('outlive a restart', async () => {
        const session = sessionRecord();
        await write(async (tx) => {
          await tx.insertSession(session);
          await tx.appendEvents(session.id, [messageEvent('kept')]);
        });
        await store.close();
        store = await subject.reopen();
        expect(await store.read.session(session.id)).toEqual({ ...session, lastSeq: 1, logBytes: expect.any(Number) });
        expect(await store.read.events(session.id, 0, 10)).toHaveLength(1);
      });

      test('are waited for by close, and refused after it', async () => {
        const id = await givenSession();
        const last = write((tx) => tx.updateSession(id, { title: 'last' }));
        await store.close();
        await last;
        await expect(write(async () => undefined)).rejects.toMatchObject({ code: 'unavailable' });
        await expect(store.read.session(id)).rejects.toMatchObject({ code: 'unavailable' });
        store = await subject.reopen();
        expect((await store.read.session(id))?.title).toBe('last');
      });
    });

    describe('sessions', () => {
      test('come back as they were stored', async () => {
        const bare = sessionRecord();
        const full = sessionRecord({
          title: "quote ' and unicode 日本 🚢",
          status: 'failed',
          statusReason: 'no disk',
          agentArgv: ['node', 'agent.mjs', ''],
          repositoryUrl: 'https://github.com/ada/engine',
          baseBranch: 'main',
          branch: 'berth/fix',
          baseCommit: 'a'.repeat(40),
          env: { PATH: '/bin', EMPTY: '' },
          mcpServers: [
            { name: 'fs', command: '/bin/mcp', args: ['-v'], env: [{ name: 'A', value: 'b' }] },
            { type: 'http', name: 'web', url: 'https://mcp.example/', headers: [] },
          ],
          acpSessionId: 'acp-1',
          modeId: 'plan',
          config: { model: 'large', thinking: true },
          author: { name: 'Ada', email: 'ada@example.org' },
          permissionTimeoutMs: 2 ** 40,
          deletingAt: '2026-11-24T00:00:00.000Z',
        });
        await write(async (tx) => {
          await tx.insertSession(bare);
          await tx.insertSession(full);
        });
        expect(await store.read.session(bare.id)).toEqual(bare);
        expect(await store.read.session(full.id)).toEqual(full);
        expect(await store.read.session('ses_absent')).toBeNull();
      });

      test('change only where told', async () => {
        const record = sessionRecord({ statusReason: 'old', author: { name: 'A', email: 'a@b' } });
        await write((tx) => tx.insertSession(record));
        await write((tx) => tx.updateSession(record.id, { status: 'idle', statusReason: null, author: null }));
        expect(await store.read.session(record.id)).toEqual({
          ...record,
          status: 'idle',
          statusReason: null,
          author: null,
        });
        await write((tx) => tx.updateSession(record.id, {}));
      });

      test('refuse a second of one id, and a change to an absent one', async () => {
        const record = sessionRecord();
        await write((tx) => tx.insertSession(record));
        await expect(write((tx) => tx.insertSession(record))).rejects.toMatchObject({ code: 'conflict' });
        const absent = write((tx) => tx.updateSession('ses_absent', { title: 'x' }));
        await expect(absent).rejects.toMatchObject({ code: 'not_found' });
        await expect(write((tx) => tx.updateSession('ses_absent', {}))).rejects.toMatchObject({ code: 'not_found' });
      });

      test('are listed newest first, filtered and by page', async () => {
        const records = ['a', 'b', 'c', 'd', 'e'].map((letter, position) =>
          sessionRecord({
            id: `ses_${letter}`,
            owner: position % 2 === 0 ? 'ada' : 'bob',
            status: position < 2 ? 'idle' : 'running',
          }),
        );
        await write(async (tx) => {
          for (const record of records) await tx.insertSession(record);
        });
        const ids = async (filter: Parameters<Store['read']['sessions']>[0]): Promise<string[]> =>
          (await store.read.sessions(filter)).map((session) => session.id);
        expect(await ids({ limit: 2 })).toEqual(['ses_e', 'ses_d']);
        expect(await ids({ limit: 2, before: 'ses_d' })).toEqual(['ses_c', 'ses_b']);
        expect(await ids({ limit: 9, owner: 'bob' })).toEqual(['ses_d', 'ses_b']);
        expect(await ids({ limit: 9, statuses: ['idle', 'failed'] })).toEqual(['ses_b', 'ses_a']);
        expect(await ids({ limit: 9, statuses: [] })).toEqual([]);
        expect(await ids({ limit: 9, owner: 'ada', statuses: ['running'], before: 'ses_e' })).toEqual(['ses_c']);
      });

      test('take all that is theirs along when deleted, and nothing else', async () => {
        const id = await givenSession();
        const other = await givenSession();
        const sandbox = sandboxRecord({ sessionId: id });
        const repository = repositoryRecord();
        const turn = turnRecord(id);
        const task = taskRecord(repository.id, { sessionId: id, turnId: turn.id });
        await write(async (tx) => {
          for (const session of [id, other]) {
            await tx.appendEvents(session, [messageEvent('a', { id: 'jnl', seq: 1 }), messageEvent('b')]);
            await tx.upsertPermission(permissionRecord(session));
          }
          await tx.insertTurn(turn);
          await tx.insertSandbox(sandbox);
          await tx.upsertRepository(repository);
          await tx.insertTask(task);
        });
        await write((tx) => tx.deleteSession(id));
        expect(await store.read.session(id)).toBeNull();
        expect(await store.read.events(id, 0, 10)).toEqual([]);
        expect(await store.read.turn(turn.id)).toBeNull();
        expect(await store.read.openPermissions(id)).toEqual([]);
        expect((await store.read.sandbox(sandbox.id))?.sessionId).toBeNull();
        expect(await store.read.task(task.id)).toEqual({ ...task, sessionId: null, turnId: null });
        expect(await store.read.events(other, 0, 10)).toHaveLength(2);
        expect(await store.read.openPermissions(other)).toHaveLength(1);
        await write((tx) => tx.deleteSession(id));
      });
    });

    describe('events', () => {
      test('are numbered from 1 without gaps, over batches and transactions', async () => {
        const id = await givenSession();
        const other = await givenSession();
        await write(async (tx) => {
          expect(await tx.appendEvents(id, [messageEvent('1'), messageEvent('2')])).toBe(2);
          expect(await tx.appendEvents(other, [messageEvent('x')])).toBe(1);
          expect(await tx.appendEvents(id, [messageEvent('3')])).toBe(3);
        });
        expect(await write((tx) => tx.appendEvents(id, [messageEvent('4')]))).toBe(4);
        const events = await store.read.events(id, 0, 100);
        expect(events.map((event) => event.seq)).toEqual([1, 2, 3, 4]);
        expect(events.map((event) => event.sessionId)).toEqual([id, id, id, id]);
        expect((await store.read.session(id))?.lastSeq).toBe(4);
      });

      test('leave no gap for what was rolled back', async () => {
        const id = await givenSession();
        const undone = write(async (tx) => {
          await tx.appendEvents(id, [messageEvent('undone')]);
          throw new Error('no');
        });
        await expect(undone).rejects.toThrow('no');
        expect(await write((tx) => tx.appendEvents(id, [messageEvent('kept')]))).toBe(1);
      });

      test('appended at once are numbered without gap or double, and told of each commit', async () => {
        const [a, b] = [await givenSession(), await givenSession()];
        const heard = new Map<string, number[]>([
          [a, []],
          [b, []],
        ]);
        store.onEvents((sessionId, lastSeq) => heard.get(sessionId)?.push(lastSeq));
        const append = (position: number): Promise<number> =>
          write((tx) => tx.appendEvents(position % 2 === 0 ? a : b, [messageEvent('x'), messageEvent('y')]));
        await Promise.all(Array.from({ length: 40 }, (_, position) => append(position)));
        for (const id of [a, b]) {
          const seqs = (await store.read.events(id, 0, 100)).map((event) => event.seq);
          expect(seqs).toEqual(Array.from({ length: 40 }, (_, position) => position + 1));
          expect(heard.get(id)?.toSorted((x, y) => x - y)).toEqual(Array.from({ length: 20 }, (_, n) => 2 * n + 2));
        }
      });

      test('hold a batch of any size', async () => {
        const id = await givenSession();
        const events = Array.from({ length: 7_001 }, (_, position) => messageEvent(String(position)));
        expect(await write((tx) => tx.appendEvents(id, events))).toBe(7_001);
        const stored = await store.read.events(id, 6_999, 10);
        expect(stored.map((event) => event.seq)).toEqual([7_000, 7_001]);
      });

      test('come back as they were sent, of unknown types too', async () => {
        const id = await givenSession();
        const sent = [
          { at: '2026-11-23T10:00:00.123Z', turnId: 'trn_1', type: 'turn.started', data: {} },
          {
            at: '2026-11-23T10:00:01.000Z',
            turnId: null,
            type: 'agent.log',
            data: { level: 'warn', message: 'NUL \u0000 lone \ud800 emoji 🚢', extra: [1, null, { deep: true }] },
          },
          { at: '2026-11-23T10:00:02.000Z', turnId: null, type: 'of.the.future', data: { field: 1 } },
        ] as unknown as NewEvent[];
        await write((tx) => tx.appendEvents(id, sent));
        const expected = sent.map((event, position) => ({ sessionId: id, seq: position + 1, ...event }));
        expect(await store.read.events(id, 0, 10)).toEqual(expected);
      });

      test('are read in order from any seq', async () => {
        const id = await givenSession();
        await write((tx) =>
          tx.appendEvents(
            id,
            ['a', 'b', 'c', 'd'].map((text) => messageEvent(text)),
          ),
        );
        const seqs = async (from: number, limit: number): Promise<number[]> =>
          (await store.read.events(id, from, limit)).map((event) => event.seq);
        expect(await seqs(0, 2)).toEqual([1, 2]);
        expect(await seqs(2, 9)).toEqual([3, 4]);
        expect(await seqs(4, 9)).toEqual([]);
      });

      test('of a journal are imported once, however often they are sent', async () => {
        const id = await givenSession();
        const journal = (from: number, to: number): NewEvent[] =>
          Array.from({ length: to - from + 1 }, (_, offset) =>
            messageEvent(`j${from + offset}`, { id: 'jnl_a', seq: from + offset }),
          );
        expect(await write((tx) => tx.appendEvents(id, journal(1, 3)))).toBe(3);
        expect(await write((tx) => tx.appendEvents(id, journal(1, 3)))).toBe(3);
        expect(
          await write((tx) => tx.appendEvents(id, [...journal(2, 5), messageEvent('own'), ...journal(5, 6)])),
        ).toBe(7);
        expect(await store.read.session(id)).toMatchObject({ lastSeq: 7, journalId: 'jnl_a', journalSeq: 6 });
      });

      test('of a new journal start again at 1, and an old one keeps its cursor', async () => {
        const id = await givenSession();
        const from = (journalId: string, seq: number): NewEvent => messageEvent('x', { id: journalId, seq });
        await write((tx) => tx.appendEvents(id, [from('jnl_a', 1), from('jnl_a', 2)]));
        expect(await write((tx) => tx.appendEvents(id, [from('jnl_b', 1)]))).toBe(3);
        expect(await store.read.session(id)).toMatchObject({ journalId: 'jnl_b', journalSeq: 1 });
        expect(await write((tx) => tx.appendEvents(id, [from('jnl_a', 2)]))).toBe(3);
        expect(await store.read.session(id)).toMatchObject({ journalId: 'jnl_b', journalSeq: 1 });
        expect(await write((tx) => tx.appendEvents(id, [from('jnl_a', 3), from('jnl_b', 1), from('jnl_b', 2)]))).toBe(
          5,
        );
        expect(await store.read.session(id)).toMatchObject({ journalId: 'jnl_b', journalSeq: 2 });
      });

      test('roll back with their cursor', async () => {
        const id = await givenSession();
        const event = messageEvent('x', { id: 'jnl_a', seq: 1 });
        const undone = write(async (tx) => {
          await tx.appendEvents(id, [event]);
          throw new Error('no');
        });
        await expect(undone).rejects.toThrow('no');
        expect(await write((tx) => tx.appendEvents(id, [event]))).toBe(1);
      });

      test('need a session', async () => {
        const absent = write((tx) => tx.appendEvents('ses_absent', [messageEvent('x')]));
        await expect(absent).rejects.toMatchObject({ code: 'not_found' });
      });

      test('of an empty batch are none', async () => {
        const id = await givenSession();
        expect(await write((tx) => tx.appendEvents(id, []))).toBe(0);
      });
    });

    describe('listeners', () => {
      test('hear of events after the commit, once a session', async () => {
        const [a, b] = [await givenSession(), await givenSession()];
        const heard: [string, number][] = [];
        store.onEvents((sessionId, lastSeq) => heard.push([sessionId, lastSeq]));
        await write(async (tx) => {
          await tx.appendEvents(a, [messageEvent('1')]);
          await tx.appendEvents(b, [messageEvent('1')]);
          await tx.appendEvents(a, [messageEvent('2'), messageEvent('3')]);
          expect(heard).toEqual([]);
        });
        expect(heard).toEqual([
          [a, 3],
          [b, 1],
        ]);
      });

      test('find in the log what they heard of', async () => {
        const id = await givenSession();
        const found = new Promise<number>((resolve) => {
          store.onEvents((sessionId, lastSeq) => {
            void store.read.events(sessionId, lastSeq - 1, 1).then((events) => resolve(events.length));
          });
        });
        await write((tx) => tx.appendEvents(id, [messageEvent('1')]));
        expect(await found).toBe(1);
      });

      test('hear nothing of a rollback, of dropped events, or once they have left', async () => {
        const id = await givenSession();
        const event = messageEvent('x', { id: 'jnl_a', seq: 1 });
        const heard: number[] = [];
        const leave = store.onEvents((_, lastSeq) => heard.push(lastSeq));
        const undone = write(async (tx) => {
          await tx.appendEvents(id, [event]);
          throw new Error('no');
        });
        await expect(undone).rejects.toThrow('no');
        await write((tx) => tx.appendEvents(id, [event]));
        await write((tx) => tx.appendEvents(id, [event]));
        leave();
        await write((tx) => tx.appendEvents(id, [messageEvent('y')]));
        expect(heard).toEqual([1]);
      });

      test('that throw harm neither the commit nor the others', async () => {
        const id = await givenSession();
        const heard: number[] = [];
        store.onEvents(() => {
          throw new Error('listener');
        });
        store.onEvents((_, lastSeq) => heard.push(lastSeq));
        expect(await write((tx) => tx.appendEvents(id, [messageEvent('x')]))).toBe(1);
        expect(heard).toEqual([1]);
      });
    });

    describe('turns', () => {
      test('come back as they were stored and changed', async () => {
        const id = await givenSession();
        const record = turnRecord(id, {
          idempotencyKey: 'k',
          prompt: [
            { type: 'text', text: 'look' },
            { type: 'image', mimeType: 'image/png', data: 'AAAA' },
            { type: 'resource_link', uri: 'file:///a', name: 'a' },
          ],
          webhookUrl: 'https://example.org/hook',
        });
        await write((tx) => tx.insertTurn(record));
        expect(await store.read.turn(record.id)).toEqual(record);
        const change = {
          state: 'failed',
          attempts: 2,
          stopReason: 'refusal',
          usage: { inputTokens: 1, outputTokens: 2 },
          error: { code: 'agent_failed', message: 'gone' },
          endedAt: '2026-11-23T10:01:00.000Z',
        } as const;
        await write((tx) => tx.updateTurn(record.id, change));
        expect(await store.read.turn(record.id)).toEqual({ ...record, ...change });
        await expect(write((tx) => tx.updateTurn('trn_absent', change))).rejects.toMatchObject({ code: 'not_found' });
      });

      test('are one per idempotency key and session', async () => {
        const [a, b] = [await givenSession(), await givenSession()];
        const first = turnRecord(a, { idempotencyKey: 'k' });
        await write(async (tx) => {
          await tx.insertTurn(first);
          await tx.insertTurn(turnRecord(b, { idempotencyKey: 'k' }));
          await tx.insertTurn(turnRecord(a));
          await tx.insertTurn(turnRecord(a));
        });
        const second = write((tx) => tx.insertTurn(turnRecord(a, { idempotencyKey: 'k' })));
        await expect(second).rejects.toMatchObject({ code: 'conflict' });
        expect((await store.read.turnByKey(a, 'k'))?.id).toBe(first.id);
        expect(await store.read.turnByKey(a, 'other')).toBeNull();
      });

      test('need a session', async () => {
        const orphan = write((tx) => tx.insertTurn(turnRecord('ses_absent')));
        await expect(orphan).rejects.toMatchObject({ code: 'not_found' });
      });

      test('of one session never run two at once', async () => {
        const id = await givenSession();
        const [first, second] = [turnRecord(id, { state: 'running' }), turnRecord(id)];
        await write(async (tx) => {
          await tx.insertTurn(first);
          await tx.insertTurn(second);
        });
        const double = write((tx) => tx.updateTurn(second.id, { state: 'starting' }));
        await expect(double).rejects.toMatchObject({ code: 'conflict' });
        await write(async (tx) => {
          await tx.updateTurn(first.id, { state: 'completed' });
          await tx.updateTurn(second.id, { state: 'starting' });
        });
      });

      test('of a session are oldest first, in one millisecond by insertion', async () => {
        const id = await givenSession();
        const records = Array.from({ length: 20 }, () => turnRecord(id));
        const oldest = turnRecord(id, { createdAt: '2026-11-23T09:00:00.000Z', state: 'completed' });
        await write(async (tx) => {
          for (const record of [...records, oldest]) await tx.insertTurn(record);
        });
        const expected = [oldest, ...records].map((record) => record.id);
        expect((await store.read.turns(id)).map((turn) => turn.id)).toEqual(expected);
        expect((await store.read.turns(id, ['queued'])).map((turn) => turn.id)).toEqual(expected.slice(1));
        expect(await store.read.turns(id, [])).toEqual([]);
      });

      test('in a state come in queue order: the highest priority, then the oldest', async () => {
        const [a, b] = [await givenSession(), await givenSession()];
        const low = turnRecord(a, { priority: -1, createdAt: '2026-11-23T08:00:00.000Z' });
        const young = turnRecord(a, { createdAt: '2026-11-23T11:00:00.000Z' });
        const old = turnRecord(b, { createdAt: '2026-11-23T10:00:00.000Z' });
        const high = turnRecord(b, { priority: 5, createdAt: '2026-11-23T12:00:00.000Z' });
        const done = turnRecord(b, { priority: 9, state: 'completed' });
        await write(async (tx) => {
          for (const record of [low, young, old, high, done]) await tx.insertTurn(record);
        });
        const order = (await store.read.turnsInState(['queued'])).map((turn) => turn.id);
        expect(order).toEqual([high.id, old.id, young.id, low.id]);
        expect(await store.read.turnsInState(['queued', 'completed'])).toHaveLength(5);
      });
    });

    describe('the queue', () => {
      const time = (minute: number) => `2026-11-23T10:${String(minute).padStart(2, '0')}:00.000Z`;

      test('holds what waits, oldest first, with its session but without those being deleted', async () => {
        const [a, b, gone] = [await givenSession({ owner: 'bob', agent: 'codex' }), await givenSession(), await givenSession()];
        const young = turnRecord(a, { priority: 20, createdAt: time(5), retryAt: time(9), attempts: 2, estimatedWaitMs: 2 ** 40, queuePosition: 3 });
        const old = turnRecord(b, { createdAt: time(1) });
        await write(async (tx) => {
          for (const record of [young, old, turnRecord(b, { state: 'completed' }), turnRecord(gone)]) await tx.insertTurn(record);
          await tx.updateSession(gone, { deletingAt: time(6) });
        });
        const queued = await store.read.queuedTurns();
        expect(queued.map((turn) => turn.id)).toEqual([old.id, young.id]);
        expect(queued[1]).toMatchObject({
          sessionId: a,
          owner: 'bob',
          agent: 'codex',
          state: 'queued',
          priority: 20,
          retryAt: time(9),
          attempts: 2,
          estimatedWaitMs: 2 ** 40,
          queuePosition: 3,
          ordinal: expect.any(Number),
        });
        expect(queued[1]).not.toHaveProperty('prompt');
      });

      test('tells who holds a slot or had one lately', async () => {
        const [a, b] = [await givenSession(), await givenSession()];
        const records = [
          turnRecord(a, { state: 'completed', claimedAt: time(1), endedAt: time(2) }),
          turnRecord(a, { state: 'completed', claimedAt: time(3), endedAt: time(4) }),
          turnRecord(a, { state: 'running', claimedAt: time(0) }),
          turnRecord(b, { state: 'starting', claimedAt: time(5) }),
          turnRecord(b),
        ];
        await write(async (tx) => {
          for (const record of records) await tx.insertTurn(record);
        });
        const [first, second, running, starting] = records.map((record) => record.id);
        expect((await store.read.servedTurns(time(3))).map((turn) => turn.id)).toEqual([running, second, starting]);
        expect((await store.read.latestClaimedTurns(3)).map((turn) => turn.id)).toEqual([starting, second, first]);
      });

      test('keeps dead letters with their turns, newest first', async () => {
        const [a, b] = [await givenSession(), await givenSession()];
        const [one, two] = [turnRecord(a), turnRecord(b)];
        const letters = [deadLetterRecord(one), deadLetterRecord(two, { failedAt: time(1) })];
        await write(async (tx) => {
          for (const turn of [one, two]) await tx.insertTurn(turn);
          for (const letter of letters) await tx.upsertDeadLetter(letter);
        });
        expect(await store.read.deadLetters({ limit: 9 })).toEqual(letters.toReversed());
        expect(await store.read.deadLetters({ limit: 9, sessionId: a })).toEqual([letters[0]]);
        const replayed = { ...letters[0]!, replayedAt: time(2), replayTurnId: two.id };
        await write((tx) => tx.upsertDeadLetter(replayed));
        expect(await store.read.deadLetter(one.id)).toEqual(replayed);
        expect(await store.read.deadLetters({ limit: 9, waiting: true })).toEqual([letters[1]]);
        expect(await store.read.deadLetters({ limit: 1 })).toEqual([letters[1]]);
        await write((tx) => tx.deleteSession(a));
        expect(await store.read.deadLetter(one.id)).toBeNull();
        const orphan = write((tx) => tx.upsertDeadLetter(deadLetterRecord(one)));
        await expect(orphan).rejects.toMatchObject({ code: 'not_found' });
      });

      test('keeps each webhook once, and knows which are due', async () => {
        expect(await store.read.nextWebhookAt()).toBeNull();
        const records = [1, 2, 3].map((n) => webhookRecord({ id: `msg_${n}`, nextAttemptAt: time(10 - n) }));
        await write(async (tx) => {
          for (const record of records) await tx.insertWebhook(record);
          await tx.insertWebhook({ ...records[0]!, payload: 'other' });
        });
        expect(await store.read.webhook('msg_1')).toEqual(records[0]);
        expect(await store.read.nextWebhookAt()).toBe(time(7));
        expect((await store.read.dueWebhooks(time(8), 9)).map((each) => each.id)).toEqual(['msg_3', 'msg_2']);
        expect(await store.read.dueWebhooks(time(8), 1)).toEqual([records[2]]);
        const change = { state: 'delivered', attempts: 1, lastError: 'x', deliveredAt: time(8) } as const;
        await write((tx) => tx.updateWebhook('msg_3', change));
        expect(await store.read.webhook('msg_3')).toEqual({ ...records[2], ...change });
        expect(await store.read.nextWebhookAt()).toBe(time(8));
        await expect(write((tx) => tx.updateWebhook('absent', {}))).rejects.toMatchObject({ code: 'not_found' });
      });
    });

    describe('usage', () => {
      const call = (callId: string, change: Partial<ModelUsageRecord> = {}): ModelUsageRecord => ({
        callId,
        sessionId: 'ses_1',
        turnId: 'trn_1',
        owner: 'ada',
        api: 'anthropic',
        model: 'claude-a',
        at: '2026-11-28T10:00:00.000Z',
        inputTokens: 10,
        outputTokens: 5,
        cacheReadTokens: 3,
        cacheWriteTokens: 2,
        estimated: false,
        costNanos: 2 ** 40,
        ...change,
      });

      test('is summed by what is asked, each call once, and outlives its session', async () => {
        const calls = [
          call('cal_1'),
          call('cal_2'),
          call('cal_2'),
          call('cal_3', { model: 'new', costNanos: null, estimated: true, turnId: null, at: '2026-11-29T00:00:00.000Z' }),
          call('cal_4', { owner: 'bob', sessionId: 'ses_2', turnId: 'trn_2' }),
        ];
        for (const each of calls) await write((tx) => tx.addModelUsage(each));
        const one = { calls: 1, estimatedCalls: 0, unpricedCalls: 0, inputTokens: 10, outputTokens: 5, cacheReadTokens: 3, cacheWriteTokens: 2, costNanos: 2 ** 40 };
        const two = { ...one, calls: 2, inputTokens: 20, outputTokens: 10, cacheReadTokens: 6, cacheWriteTokens: 4, costNanos: 2 ** 41 };
        const unpriced = { ...one, estimatedCalls: 1, unpricedCalls: 1, costNanos: 0 };
        expect(await store.read.modelUsage({ owner: 'ada' }, ['model', 'day'], 9)).toEqual([
          { group: { model: 'new', day: '2026-11-29' }, ...unpriced },
          { group: { model: 'claude-a', day: '2026-11-28' }, ...two },
        ]);
        expect(await store.read.modelUsage({}, ['user', 'session', 'turn'], 9)).toEqual([
          { group: { user: 'ada', session: 'ses_1', turn: null }, ...unpriced },
          { group: { user: 'ada', session: 'ses_1', turn: 'trn_1' }, ...two },
          { group: { user: 'bob', session: 'ses_2', turn: 'trn_2' }, ...one },
        ]);
        expect(await store.read.modelUsage({ to: '2026-11-28', sessionId: 'ses_1' }, [], 1)).toEqual([{ group: {}, ...two }]);
        expect(await store.read.modelUsage({ from: '2026-11-30' }, [], 1)).toEqual([]);
        expect(await store.read.modelUsage({}, ['model'], 1)).toHaveLength(1);
      });

      test("tells whose a session's call is", async () => {
        const sessionId = await givenSession({ owner: 'bob' });
        expect(await store.read.modelCaller(sessionId)).toEqual({ owner: 'bob', turnId: null });
        const turn = turnRecord(sessionId, { state: 'running' });
        await write((tx) => tx.insertTurn(turn));
        expect(await store.read.modelCaller(sessionId)).toEqual({ owner: 'bob', turnId: turn.id });
        await write((tx) => tx.updateSession(sessionId, { deletingAt: at }));
        expect(await store.read.modelCaller(sessionId)).toBeNull();
      });

      test('of turns is counted by day and user', async () => {
        const turn = { turnId: 'trn_1', sessionId: 'ses_1', owner: 'ada', day: '2026-11-28', activeMs: 0 };
        await write(async (tx) => {
          await tx.saveTurnUsage(turn);
          await tx.saveTurnUsage({ ...turn, activeMs: 1500 });
          await tx.saveTurnUsage({ ...turn, turnId: 'trn_2', day: '2026-11-29', activeMs: 500 });
        });
        expect(await store.read.turnUsage({ owner: 'ada' })).toEqual({ turns: 2, activeMs: 2000 });
        expect(await store.read.turnUsage({ sessionId: 'ses_1', from: '2026-11-29' })).toEqual({ turns: 1, activeMs: 500 });
        expect(await store.read.turnUsage({ owner: 'bob' })).toEqual({ turns: 0, activeMs: 0 });
      });
    });

    describe('hosts', () => {
      const host = (id: string, leaseMs: number | null = 60_000) => ({
        id,
        address: `http://${id}`,
        slots: 3,
        leaseMs,
        registeredAt: '2026-11-28T10:00:00.000Z',
      });
      const register = (id: string, leaseMs?: number | null) =>
        store.transaction((tx) => tx.registerHost(host(id, leaseMs)), { alone: true });

      test('each registration has an epoch of its own, also after it was forgotten; only the last one holds the lease', async () => {
        const first = await register('hst_1');
        const second = await register('hst_1');
        expect(second).toBeGreaterThan(first);
        expect(await store.read.holdsLease('hst_1', first)).toBe(false);
        expect(await store.read.holdsLease('hst_1', second)).toBe(true);
        expect(await store.read.holdsLease('hst_2', second)).toBe(false);
        await write((tx) => tx.deleteHost('hst_1'));
        expect(await store.read.holdsLease('hst_1', second)).toBe(false);
        expect(await register('hst_1')).not.toBe(second);
        await register('hst_0', null);
        expect(await store.read.hosts()).toMatchObject([
          { id: 'hst_0', leaseUntil: null, live: true },
          { id: 'hst_1', address: 'http://hst_1', slots: 3, live: true, registeredAt: '2026-11-28T10:00:00.000Z' },
        ]);
      });

      test('a lease that ran out is not renewed', async () => {
        const epoch = await register('hst_1');
        expect(await write((tx) => tx.renewLease('hst_1', epoch - 1, 60_000))).toBe(false);
        expect(await write((tx) => tx.renewLease('hst_1', epoch, -1000))).toBe(true);
        expect(await store.read.holdsLease('hst_1', epoch)).toBe(false);
        expect(await store.read.hosts()).toMatchObject([{ live: false }]);
        expect(await write((tx) => tx.renewLease('hst_1', epoch, 60_000))).toBe(false);
        expect(await write((tx) => tx.renewLease('hst_9', epoch, 60_000))).toBe(false);
      });

      test('a session is where its sandbox is, and what no host has can be adopted', async () => {
        const id = await givenSession();
        const [own, other] = [sandboxRecord({ sessionId: id, hostId: null }), sandboxRecord({ hostId: 'hst_2' })];
        const turn = turnRecord(id, { state: 'running' });
        await write(async (tx) => {
          for (const record of [own, other]) await tx.insertSandbox(record);
          await tx.updateSession(id, { sandboxId: own.id });
          await tx.insertTurn(turn);
          await tx.insertTurn(turnRecord(id));
        });
        expect((await store.read.session(id))?.hostId).toBeNull();
        await write((tx) => tx.adoptUnowned('hst_1'));
        expect((await store.read.session(id))?.hostId).toBe('hst_1');
        expect((await store.read.sandboxes({ hostId: 'hst_1' })).map((each) => each.id)).toEqual([own.id]);
        expect((await store.read.sandboxes({ hostId: 'hst_2' })).map((each) => each.id)).toEqual([other.id]);
        expect((await store.read.turnsInState(['running'], 'hst_1')).map((each) => each.id)).toEqual([turn.id]);
        expect(await store.read.turnsInState(['running', 'queued'], 'hst_2')).toEqual([]);
        expect(await store.read.queuedTurns()).toMatchObject([{ hostId: 'hst_1', sandboxStatus: own.status }]);
        await write((tx) => tx.deleteSandbox(own.id));
        expect((await store.read.session(id))?.hostId).toBeNull();
      });

      test('one that runs alone waits for those under way', async () => {
        const order: string[] = [];
        const begun = Promise.withResolvers<void>();
        const goOn = Promise.withResolvers<void>();
        const under = write(async (tx) => {
          await tx.hosts();
          begun.resolve();
          await goOn.promise;
          order.push('under way');
        });
        await begun.promise;
        const alone = store.transaction(async () => void order.push('alone'), { alone: true });
        await new Promise((resolve) => setTimeout(resolve, 50));
        goOn.resolve();
        await Promise.all([under, alone]);
        expect(order).toEqual(['under way', 'alone']);
      });

      test('the key is recognised by what its first server left', async () => {
        expect(await store.read.keyCheck()).toBeNull();
        await write((tx) => tx.saveKeyCheck('a'));
        expect(await store.read.keyCheck()).toBe('a');
        await expect(write((tx) => tx.saveKeyCheck('b'))).rejects.toMatchObject({ code: 'conflict' });
      });
    });

    describe('rest', () => {
      test('what keeps a sandbox awake is told by one read: its turn, its question, its last use', async () => {
        const id = await givenSession();
        const sandbox = sandboxRecord({ sessionId: id, status: 'running' });
        const idle = { pauseMs: null, archiveMs: 1000, lastStep: 'destroy' } as const;
        await write(async (tx) => {
          await tx.insertSandbox(sandbox);
          await tx.updateSession(id, { sandboxId: sandbox.id, idle, lastUsedAt: '2026-01-01T00:00:01.000Z' });
          await tx.touchSession(id, '2026-01-01T00:00:03.000Z');
          await tx.touchSession(id, '2026-01-01T00:00:02.000Z');
          await tx.touchSession('ses_absent', '2026-01-01T00:00:02.000Z');
        });
        const use = async () => (await store.read.sandboxUses({ sessionId: id, statuses: ['running'] }))[0];
        const quiet = { sessionId: id, sandboxId: sandbox.id, provider: sandbox.provider, status: 'running', idle, archivedAt: null, asksForBudget: false };
        expect(await use()).toEqual({ ...quiet, work: 'none', lastUsedAt: '2026-01-01T00:00:03.000Z', questionExpiresAt: null });

        const turn = turnRecord(id, { state: 'running' });
        await write((tx) => tx.insertTurn(turn));
        expect(await use()).toMatchObject({ work: 'busy' });
        const asked = permissionRecord(id, { state: 'open', turnId: turn.id, requestedAt: '2026-01-01T00:00:05.000Z' });
        await write((tx) => tx.upsertPermission(asked));
        expect(await use()).toMatchObject({ work: 'asking', lastUsedAt: asked.requestedAt, questionExpiresAt: asked.expiresAt });
        await write((tx) => tx.updateTurn(turn.id, { cancelRequestedAt: at }));
        expect(await use()).toMatchObject({ work: 'busy' });
        await write((tx) => tx.updateTurn(turn.id, { state: 'cancelled' }));
        expect(await use()).toMatchObject({ work: 'none' });
        expect(await store.read.sandboxUses({ statuses: ['paused'], sessionId: id })).toEqual([]);
        await write((tx) => tx.updateSession(id, { deletingAt: at }));
        expect(await use()).toBeUndefined();
      });

      test('archived sessions and those being deleted can be left out', async () => {
        const [a, b] = [await givenSession(), await givenSession()];
        await write((tx) => tx.updateSession(a, { archivedAt: at, deletingAt: at }));
        const ids = async (filter: object) => (await store.read.sessions({ limit: 100, ...filter })).map(({ id }) => id);
        expect(await ids({ archived: false })).toContain(b);
        expect(await ids({ archived: false })).not.toContain(a);
        expect(await ids({ archived: true, deleting: true })).toEqual([a]);
        expect(await ids({ archived: true, deleting: false })).toEqual([]);
      });
    });

    describe('snapshots', () => {
      test('are kept whole, found by their names, and one owner has a name once', async () => {
        const id = await givenSession();
        const source = snapshotSourceOf((await store.read.session(id))!);
        const record: SnapshotRecord = {
          id: newId('snapshot'),
          owner: 'ada',
          name: 'before',
          state: 'creating',
          memory: true,
          hostId: 'hst_1',
          provider: 'oci',
          sessionId: id,
          sandboxId: 'sbx_gone',
          source: { ...source, idle: { pauseMs: 5 }, agentArgv: ['a'] },
          sizeBytes: 2 ** 40,
          createdAt: at,
        };
        await write((tx) => tx.insertSnapshot(record));
        expect(await store.read.snapshot(record.id)).toEqual(record);
        const same = { ...record, id: newId('snapshot') };
        await expect(write((tx) => tx.insertSnapshot(same))).rejects.toMatchObject({ code: 'conflict' });
        await write((tx) => tx.insertSnapshot({ ...same, owner: 'bob' }));
        await write((tx) => tx.updateSnapshot(record.id, { state: 'ready', sizeBytes: null }));
        const [found] = await store.read.snapshots({ owner: 'ada', name: 'before', sessionId: id, states: ['ready'] });
        expect(found).toEqual({ ...record, state: 'ready', sizeBytes: null });
        await write((tx) => tx.deleteSession(id));
        await write((tx) => tx.deleteSnapshot(record.id));
        await write((tx) => tx.deleteSnapshot(record.id));
        expect(await store.read.snapshots({ owner: 'ada' })).toEqual([]);
      });
    });

    describe('sandboxes', () => {
      test('are stored, changed, listed and deleted', async () => {
        const session = await givenSession();
        const record = sandboxRecord({ sessionId: session });
        await write(async (tx) => {
          await tx.insertSandbox(record);
          await tx.updateSession(session, { sandboxId: record.id });
        });
        expect(await store.read.sandbox(record.id)).toEqual(record);
        await write((tx) => tx.updateSandbox(record.id, { status: 'running' }));
        expect(await store.read.sandboxes()).toEqual([{ ...record, status: 'running' }]);
        await expect(write((tx) => tx.insertSandbox(record))).rejects.toMatchObject({ code: 'conflict' });
        await write((tx) => tx.deleteSandbox(record.id));
        expect(await store.read.sandbox(record.id)).toBeNull();
        expect((await store.read.session(session))?.sandboxId).toBeNull();
        await write((tx) => tx.deleteSandbox(record.id));
        const absent = write((tx) => tx.updateSandbox(record.id, { status: 'running' }));
        await expect(absent).rejects.toMatchObject({ code: 'not_found' });
      });

      test('a warm one is found among those without a session, and counted', async () => {
        const session = await givenSession();
        const warm = { repositoryUrl: 'https://example.com/a/b', baseCommit: null };
        const [owned, free, half] = [
          sandboxRecord({ sessionId: session, status: 'stopped' }),
          sandboxRecord({ status: 'running', warm }),
          sandboxRecord({ status: 'destroying' }),
        ];
        const before = await store.read.sandboxCounts();
        await write(async (tx) => {
          for (const record of [owned, free, half]) await tx.insertSandbox(record);
        });
        expect(await store.read.sandboxes({ unowned: true, statuses: ['running'] })).toEqual([free]);
        const counts = await store.read.sandboxCounts();
        for (const status of ['stopped', 'running', 'destroying'] as const) {
          expect(counts.get(status)).toBe((before.get(status) ?? 0) + 1);
        }
        await write((tx) => tx.updateSandbox(free.id, { sessionId: session, warm: null }));
        expect(await store.read.sandbox(free.id)).toEqual({ ...free, sessionId: session, warm: null });
        expect(await store.read.sandboxes({ unowned: true, statuses: ['running'] })).toEqual([]);
        for (const { id } of [owned, free, half]) await write((tx) => tx.deleteSandbox(id));
      });
    });

    describe('permissions', () => {
      test('are open until they are resolved', async () => {
        const id = await givenSession();
        const first = permissionRecord(id, { requestId: 'r1' });
        const second = permissionRecord(id, { requestId: 'r2', requestedAt: '2026-11-23T09:00:00.000Z' });
        await write(async (tx) => {
          await tx.upsertPermission(first);
          await tx.upsertPermission(second);
        });
        expect(await store.read.openPermissions(id)).toEqual([second, first]);
        const answered = {
          ...first,
          state: 'selected',
          optionId: 'once',
          answeredBy: 'ada',
          resolvedAt: '2026-11-23T10:05:00.000Z',
        } as const;
        await write((tx) => tx.upsertPermission(answered));
        expect(await store.read.permission(id, 'r1')).toEqual(answered);
        expect(await store.read.openPermissions(id)).toEqual([second]);
        expect(await store.read.permission(id, 'absent')).toBeNull();
      });
    });

    describe('access', () => {
      test('an idempotent response is kept once', async () => {
        const record = {
          scope: 'ada POST /api/sessions',
          key: 'k',
          requestHash: 'h',
          status: 201,
          body: { id: 'ses_1', list: [1, null] } as unknown,
          createdAt: '2026-11-23T10:00:00.000Z',
        };
        await write((tx) => tx.saveIdempotentResponse(record));
        expect(await store.read.idempotentResponse(record.scope, 'k')).toEqual(record);
        expect(await store.read.idempotentResponse('bob', 'k')).toBeNull();
        const again = write((tx) => tx.saveIdempotentResponse({ ...record, requestHash: 'other' }));
        await expect(again).rejects.toMatchObject({ code: 'conflict' });
        for (const body of ['"text"', null, 4]) {
          await write((tx) => tx.saveIdempotentResponse({ ...record, key: String(body), body }));
          expect((await store.read.idempotentResponse(record.scope, String(body)))?.body).toBe(body);
        }
      });

      test('a token is found by its hash', async () => {
        const token = {
          id: 'tok_1',
          name: 'laptop',
          owner: 'ada',
          hash: 'ab'.repeat(32),
          scopes: ['read', 'answer'] as TokenScope[],
          expiresAt: null,
          lastUsedAt: null,
          revokedAt: null,
          createdAt: '2026-11-23T10:00:00.000Z',
        };
        await write((tx) => tx.insertToken(token));
        expect(await store.read.tokenByHash(token.hash)).toEqual(token);
        expect(await store.read.tokenByHash('other')).toBeNull();
        const double = write((tx) => tx.insertToken({ ...token, id: 'tok_2' }));
        await expect(double).rejects.toMatchObject({ code: 'conflict' });
      });
    });

    describe('people', () => {
      const person = (handle: string): UserRecord => ({
        handle,
        displayName: handle.toUpperCase(),
        role: 'member',
        disabledAt: null,
        createdAt: at,
      });

      test('are kept, changed and listed by handle; a handle is had once', async () => {
        await write(async (tx) => {
          for (const handle of ['max', 'ada']) await tx.insertUser(person(handle));
        });
        expect((await store.read.users()).map(({ handle }) => handle)).toEqual(['ada', 'max']);
        await write((tx) => tx.updateUser('max', { role: 'viewer', disabledAt: at }));
        expect(await store.read.user('max')).toEqual({ ...person('max'), role: 'viewer', disabledAt: at });
        await expect(write((tx) => tx.insertUser(person('ada')))).rejects.toMatchObject({ code: 'conflict' });
        await expect(write((tx) => tx.updateUser('eve', { role: 'owner' }))).rejects.toMatchObject({ code: 'not_found' });
      });

      test('a token changes by its use and its end alone', async () => {
        const token: TokenRecord = {
          id: newId('token'),
          name: 'ci',
          owner: 'ada',
          hash: 'cd'.repeat(32),
          scopes: ['read'],
          expiresAt: null,
          lastUsedAt: null,
          revokedAt: null,
          createdAt: at,
        };
        await write((tx) => tx.insertToken(token));
        await write((tx) => tx.updateToken(token.id, { lastUsedAt: at, revokedAt: at }));
        const after = { ...token, lastUsedAt: at, revokedAt: at };
        expect(await store.read.token(token.id)).toEqual(after);
        expect(await store.read.tokens('ada')).toEqual([after]);
        expect(await store.read.tokens('max')).toEqual([]);
      });

      test('see their own sessions, their teams’ and what is shared with them or those', async () => {
        const own = await givenSession({ owner: 'max' });
        const teams = await givenSession({ owner: 'ada', team: 'crew' });
        const shared = await givenSession({ owner: 'ada' });
        const byTeam = await givenSession({ owner: 'ada' });
        const hidden = await givenSession({ owner: 'ada' });
        const share = { rights: ['view' as const], by: 'ada', createdAt: at };
        await write(async (tx) => {
          for (const handle of ['max', 'ada']) await tx.insertUser(person(handle));
          for (const name of ['crew', 'rivals']) await tx.insertTeam({ name, displayName: name, createdAt: at });
          await tx.upsertTeamMember({ team: 'crew', member: 'max', role: 'viewer' });
          await tx.upsertTeamMember({ team: 'crew', member: 'max', role: 'member' });
          await tx.upsertSessionShare({ sessionId: shared, subject: { kind: 'user', name: 'max' }, ...share });
          await tx.upsertSessionShare({ sessionId: byTeam, subject: { kind: 'team', name: 'crew' }, ...share });
          // Neither a user of a team's name nor another team.
          await tx.upsertSessionShare({ sessionId: hidden, subject: { kind: 'user', name: 'crew' }, ...share });
          await tx.upsertSessionShare({ sessionId: hidden, subject: { kind: 'team', name: 'rivals' }, ...share });
        });
        const seen = async () =>
          new Set((await store.read.sessions({ visibleTo: 'max', limit: 10 })).map(({ id }) => id));
        expect(await seen()).toEqual(new Set([own, teams, shared, byTeam]));
        expect(await store.read.teamMembers({ member: 'max' })).toEqual([{ team: 'crew', member: 'max', role: 'member' }]);
        const some = await store.read.sessions({ visibleTo: 'max', ids: [shared, hidden], limit: 10 });
        expect(some.map(({ id }) => id)).toEqual([shared]);
        expect(await store.read.sessions({ ids: [], limit: 10 })).toEqual([]);
        await write((tx) => tx.deleteTeam('crew'));
        expect(await seen()).toEqual(new Set([own, shared]));
        expect((await store.read.session(teams))?.team).toBeNull();
        await write((tx) => tx.deleteUser('max'));
        expect(await seen()).toEqual(new Set([own]));
        expect(await store.read.sessionShares(shared)).toEqual([]);
      });

      test('quotas are set, replaced and forgotten, and go with their user or team; what is had is counted', async () => {
        const first = await givenSession({ owner: 'max', team: 'crew' });
        const second = await givenSession({ owner: 'max' });
        await write(async (tx) => {
          await tx.insertUser(person('max'));
          await tx.insertTeam({ name: 'crew', displayName: 'Crew', createdAt: at });
          await tx.saveQuota({ kind: 'user', name: 'max' }, { slots: 1 }, at);
          await tx.saveQuota({ kind: 'user', name: 'max' }, { slots: 2, priority: 'normal' }, at);
          await tx.saveQuota({ kind: 'team', name: 'crew' }, { sessions: 3, diskBytes: 0 }, at);
        });
        expect(await store.read.quotas()).toEqual([
          { subject: { kind: 'team', name: 'crew' }, quota: { sessions: 3, diskBytes: 0 } },
          { subject: { kind: 'user', name: 'max' }, quota: { slots: 2, priority: 'normal' } },
        ]);
        const { diskBytes } = (await store.read.session(first))!.limits;
        expect(await store.read.sessionTotals({ kind: 'user', name: 'max' })).toEqual({ sessions: 2, diskBytes: 2 * diskBytes });
        expect(await store.read.sessionTotals({ kind: 'team', name: 'crew' })).toEqual({ sessions: 1, diskBytes });
        expect(await store.read.sessionTotals({ kind: 'team', name: 'max' })).toEqual({ sessions: 0, diskBytes: 0 });
        await write(async (tx) => {
          await tx.insertSandbox(sandboxRecord({ sessionId: first, id: 'sbx_q1', status: 'paused' }));
          await tx.updateSession(first, { sandboxId: 'sbx_q1' });
          await tx.insertSandbox(sandboxRecord({ sessionId: second, id: 'sbx_q2', status: 'stopped' }));
          await tx.updateSession(second, { sandboxId: 'sbx_q2' });
        });
        expect(await store.read.slotHolders(['running', 'paused'])).toEqual([{ sessionId: first, owner: 'max', team: 'crew' }]);
        await write((tx) => tx.deleteTeam('crew'));
        await write((tx) => tx.saveQuota({ kind: 'user', name: 'max' }, null, at));
        expect(await store.read.quotas()).toEqual([]);
        await write((tx) => tx.saveQuota({ kind: 'user', name: 'max' }, { slots: 1 }, at));
        await write((tx) => tx.deleteUser('max'));
        expect(await store.read.quotas()).toEqual([]);
      });

      test('a share is one per subject, and goes with its session', async () => {
        const id = await givenSession();
        const share: SessionShareRecord = {
          sessionId: id,
          subject: { kind: 'user', name: 'max' },
          rights: ['view'],
          by: 'ada',
          createdAt: at,
        };
        await write((tx) => tx.upsertSessionShare(share));
        const wider: SessionShareRecord = { ...share, rights: ['view', 'answer'], by: 'root' };
        await write((tx) => tx.upsertSessionShare(wider));
        expect(await store.read.sessionShares(id)).toEqual([wider]);
        await write((tx) => tx.deleteSessionShare(id, share.subject));
        expect(await store.read.sessionShares(id)).toEqual([]);
        await write((tx) => tx.upsertSessionShare(share));
        await write((tx) => tx.deleteSession(id));
        expect(await store.read.sessionShares(id)).toEqual([]);
      });

      test('dead letters are shown with their session', async () => {
        const ids = [await givenSession({ owner: 'max' }), await givenSession({ owner: 'ada' })];
        const turns = ids.map((id) => turnRecord(id, { state: 'failed' }));
        await write(async (tx) => {
          for (const turn of turns) {
            await tx.insertTurn(turn);
            await tx.upsertDeadLetter(deadLetterRecord(turn));
          }
        });
        const seen = await store.read.deadLetters({ visibleTo: 'max', limit: 10 });
        expect(seen.map(({ turnId }) => turnId)).toEqual([turns[0]!.id]);
        expect(await store.read.deadLetters({ limit: 10 })).toHaveLength(2);
      });

      test('where sessions connected to is shown with them, by host, answer and session', async () => {
        const [own, other] = [await givenSession({ owner: 'max' }), await givenSession({ owner: 'ada' })];
        await write(async (tx) => {
          const decision = { port: 443, reason: 'r', count: 1, firstAt: at };
          await tx.addEgressDecision({ ...decision, sessionId: own, host: 'a.test', allowed: true, lastAt: '2026-01-01T00:00:01.000Z' });
          await tx.addEgressDecision({ ...decision, sessionId: own, host: 'b.test', allowed: false, lastAt: '2026-01-01T00:00:03.000Z' });
          await tx.addEgressDecision({ ...decision, sessionId: other, host: 'a.test', allowed: false, lastAt: '2026-01-01T00:00:02.000Z' });
        });
        const seen = async (filter: Omit<EgressFilter, 'limit'>) =>
          (await store.read.egressDecisionsOfAll({ ...filter, limit: 10 })).map(({ sessionId, host }) => `${sessionId} ${host}`);
        expect(await seen({})).toEqual([`${own} b.test`, `${other} a.test`, `${own} a.test`]);
        expect(await seen({ visibleTo: 'max' })).toEqual([`${own} b.test`, `${own} a.test`]);
        expect(await seen({ host: 'A.t', allowed: false })).toEqual([`${other} a.test`]);
        expect(await seen({ sessionId: own, allowed: true })).toEqual([`${own} a.test`]);
        expect(await store.read.egressDecisionsOfAll({ limit: 1 })).toHaveLength(1);
      });
    });

    describe('repositories', () => {
      test('are found by id and URL, and change in place', async () => {
        const record = repositoryRecord();
        await write((tx) => tx.upsertRepository(record));
        expect(await store.read.repositoryByUrl(record.url)).toEqual(record);
        const renamed = { ...record, url: 'https://github.com/ada/renamed', name: 'renamed', installationId: null };
        await write((tx) => tx.upsertRepository(renamed));
        expect(await store.read.repository(record.id)).toEqual(renamed);
        expect(await store.read.repositories()).toEqual([renamed]);
        expect(await store.read.repositoryByUrl(record.url)).toBeNull();
        const thief = write((tx) => tx.upsertRepository(repositoryRecord({ url: renamed.url })));
        await expect(thief).rejects.toMatchObject({ code: 'conflict' });
      });

      test('there is one GitHub App at most', async () => {
        expect(await store.read.githubApp()).toBeNull();
        await write((tx) => tx.saveGithubApp(githubAppRecord()));
        const next = githubAppRecord({ appId: 2 ** 40, sealedClientSecret: 'v1.c' });
        await write((tx) => tx.saveGithubApp(next));
        expect(await store.read.githubApp()).toEqual(next);
      });
    });

    describe('tasks', () => {
      test('are found by issue, pull request, session and state', async () => {
        const session = await givenSession();
        const repository = repositoryRecord();
        const record = taskRecord(repository.id, { commentId: 2 ** 42 });
        await write(async (tx) => {
          await tx.upsertRepository(repository);
          await tx.insertTask(record);
        });
        const change = {
          pullNumber: 8,
          sessionId: session,
          state: 'failed',
          error: { code: 'x', message: 'y' },
        } as const;
        await write((tx) => tx.updateTask(record.id, change));
        const changed = { ...record, ...change };
        expect(await store.read.task(record.id)).toEqual(changed);
        expect(await store.read.taskByNumber(repository.id, 7)).toEqual(changed);
        expect(await store.read.taskByNumber(repository.id, 8)).toEqual(changed);
        expect(await store.read.taskByNumber(repository.id, 9)).toBeNull();
        expect(await store.read.taskByNumber('rep_other', 7)).toBeNull();
        expect(await store.read.taskBySession(session)).toEqual(changed);
        expect(await store.read.tasksInState(['failed', 'working'])).toEqual([changed]);
        expect(await store.read.tasksInState(['working'])).toEqual([]);
      });

      test('are one per issue, and belong to a repository', async () => {
        const repository = repositoryRecord();
        await write(async (tx) => {
          await tx.upsertRepository(repository);
          await tx.insertTask(taskRecord(repository.id));
        });
        const double = write((tx) => tx.insertTask(taskRecord(repository.id)));
        await expect(double).rejects.toMatchObject({ code: 'conflict' });
        const orphan = write((tx) => tx.insertTask(taskRecord('rep_absent')));
        await expect(orphan).rejects.toMatchObject({ code: 'not_found' });
      });
    });

    describe('deliveries', () => {
      test('are taken once', async () => {
        const record = deliveryRecord();
        expect(await write((tx) => tx.insertDelivery(record))).toBe(true);
        expect(await write((tx) => tx.insertDelivery({ ...record, payload: 'other' }))).toBe(false);
        expect(await store.read.delivery(record.id)).toEqual(record);
        const atOnce = Array.from({ length: 10 }, () =>
          write((tx) => tx.insertDelivery(deliveryRecord({ id: 'd-2' }))),
        );
        expect((await Promise.all(atOnce)).filter(Boolean)).toHaveLength(1);
      });

      test('are listed by state in order of arrival', async () => {
        const ids = ['z', 'a', 'm'];
        await write(async (tx) => {
          for (const id of ids) await tx.insertDelivery(deliveryRecord({ id }));
        });
        expect((await store.read.deliveriesInState('received')).map((delivery) => delivery.id)).toEqual(ids);
        await write((tx) => tx.updateDelivery('a', { state: 'ignored', reason: 'no access', attempts: 1 }));
        expect((await store.read.deliveriesInState('received')).map((delivery) => delivery.id)).toEqual(['z', 'm']);
        expect(await store.read.deliveriesInState('ignored')).toEqual([
          deliveryRecord({ id: 'a', state: 'ignored', reason: 'no access', attempts: 1 }),
        ]);
        await expect(write((tx) => tx.updateDelivery('absent', {}))).rejects.toMatchObject({ code: 'not_found' });
      });
    });
  });
}
