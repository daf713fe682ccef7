import { describe, expect, test } from 'vitest';
import { verifyAudit } from '../../src/core/audit/verify-audit.ts';
import type { NewAuditEntry } from '../../src/core/ports/store.ts';
import type { StoreUnderTest } from './store.ts';
import { sessionRecord } from './store-records.ts';

const at = '2026-01-01T00:00:00.000Z';

function entry(change: Partial<NewAuditEntry> = {}): NewAuditEntry {
  return {
    at,
    actor: 'user:alice',
    action: 'session.created',
    target: 'ses_1',
    sessionId: 'ses_1',
    detail: { agent: 'shell' },
    ...change,
  };
}

/** What is done to a log of five entries, and what is said of it. */
const tamperings: readonly [what: string, statements: string, seq: number, fault: string][] = [
  ['a changed actor', `update audit set actor = 'user:eve' where seq = 3`, 3, 'changed'],
  ['a changed detail', `update audit set detail = '{"agent":"claude"}' where seq = 3`, 3, 'changed'],
  ['a detail that is no JSON', `update audit set detail = '{' where seq = 3`, 3, 'changed'],
  ['a changed time', `update audit set at = '2025-01-01T00:00:00.000Z' where seq = 1`, 1, 'changed'],
  ['a changed hash', `update audit set hash = prev_hash where seq = 3`, 3, 'changed'],
  ['a removed entry', 'delete from audit where seq = 3', 3, 'unlinked'],
  ['a removed first entry', 'delete from audit where seq = 1', 1, 'unlinked'],
  ['a removed last entry', 'delete from audit where seq = 5', 5, 'missing'],
  ['all entries removed', 'delete from audit', 1, 'missing'],
  [
    'two entries that changed places',
    'update audit set seq = 99 where seq = 2; update audit set seq = 2 where seq = 3; update audit set seq = 3 where seq = 99',
    2,
    'unlinked',
  ],
  [
    'a removed entry with those behind moved up',
    'delete from audit where seq = 3; update audit set seq = 3 where seq = 4; update audit set seq = 4 where seq = 5',
    3,
    'unlinked',
  ],
  ['another end', `update audit_head set hash = '${'a'.repeat(64)}'`, 5, 'changed'],
  [
    'an entry behind the end',
    `insert into audit select 6, at, actor, action, target, session_id, detail, hash, hash from audit where seq = 5`,
    6,
    'surplus',
  ],
];

/** The audit log: whole, in order, and any hand laid on it found out. */
export function auditSuite(subjectOf: () => StoreUnderTest): void {
  const store = () => subjectOf().store;
  const append = (...entries: NewAuditEntry[]) => store().transaction((tx) => tx.appendAudit(entries));
  const verify = (expected: string | null = null) => verifyAudit(store().read, expected, AbortSignal.timeout(10_000));
  const all = () => store().read.audit({ order: 'oldest', limit: 1000 });

  async function givenEntries(count: number): Promise<void> {
    await append(...Array.from({ length: count }, (_, index) => entry({ target: `ses_${index + 1}` })));
  }

  describe('audit log', () => {
    test('entries are numbered without a gap, linked, and read back as they were given', async () => {
      const given = entry({
        target: null,
        sessionId: null,
        detail: { z: 1, a: [true, null, 'ü\u0000'], b: { c: 0.1 } },
      });
      await append(given, entry({ actor: 'server', action: 'egress.denied' }));
      await append(entry());
      const [first, second, third] = await all();
      expect(first).toMatchObject({ ...given, detail: { z: 1, a: [true, null, 'ü\uFFFD'], b: { c: 0.1 } }, seq: 1 });
      expect([second?.seq, third?.seq]).toEqual([2, 3]);
      expect(second?.prevHash).toBe(first?.hash);
      expect(third?.prevHash).toBe(second?.hash);
      expect(await store().read.auditHead()).toEqual({ seq: 3, hash: third?.hash });
      expect(await verify()).toMatchObject({ intact: true, entries: 3, head: { seq: 3 } });
    });

    test('are of the transaction that appends them: all of it or nothing', async () => {
      const session = sessionRecord();
      const failed = store().transaction(async (tx) => {
        await tx.insertSession(session);
        await tx.appendAudit([entry()]);
        throw new Error('no');
      });
      await expect(failed).rejects.toThrow('no');
      expect(await all()).toEqual([]);
      expect(await verify()).toMatchObject({ intact: true, entries: 0 });
    });

    test('outlive the session that they tell of', async () => {
      const session = sessionRecord();
      await store().transaction(async (tx) => {
        await tx.insertSession(session);
        await tx.appendAudit([entry({ sessionId: session.id })]);
      });
      await store().transaction((tx) => tx.deleteSession(session.id));
      expect(await store().read.audit({ sessionId: session.id, order: 'newest', limit: 10 })).toHaveLength(1);
    });

    test('asked for at once make one chain', async () => {
      await Promise.all(Array.from({ length: 30 }, (_, index) => append(entry({ target: String(index) }), entry())));
      expect(await verify()).toMatchObject({ intact: true, entries: 60 });
      expect(new Set((await all()).map(({ target }) => target)).size).toBe(31);
    });

    test('are found by session, actor, action or kind of action, time and place', async () => {
      await append(
        entry({ at: '2026-01-01T00:00:00.000Z' }),
        entry({ at: '2026-01-02T00:00:00.000Z', actor: 'user:bob', action: 'session.deleted' }),
        entry({ at: '2026-01-03T00:00:00.000Z', action: 'egress.denied', sessionId: 'ses_2' }),
        entry({ at: '2026-01-04T00:00:00.000Z', action: 'snapshot.created', sessionId: null }),
      );
      const seqs = async (filter: object) =>
        (await store().read.audit({ order: 'newest', limit: 10, ...filter })).map(({ seq }) => seq);
      expect(await seqs({})).toEqual([4, 3, 2, 1]);
      expect(await seqs({ sessionId: 'ses_2' })).toEqual([3]);
      expect(await seqs({ actor: 'user:bob' })).toEqual([2]);
      expect(await seqs({ action: 'session.*' })).toEqual([2, 1]);
      expect(await seqs({ action: 'session.deleted' })).toEqual([2]);
      expect(await seqs({ since: '2026-01-02T00:00:00.000Z', until: '2026-01-04T00:00:00.000Z' })).toEqual([3, 2]);
      expect(await seqs({ before: 3, limit: 1 })).toEqual([2]);
      expect(await seqs({ after: 1, order: 'oldest', limit: 2 })).toEqual([2, 3]);
    });

    test('what hostile text would grow without end is cut, and the change is not lost by it', async () => {
      const deep = { a: { b: { c: { d: { e: 'deep' } } } } };
      await append(
        entry({
          target: `\u0000\ud800${'x'.repeat(10_000)}`,
          detail: { many: Array(1000).fill('y'.repeat(1000)), deep, none: Number.NaN },
        }),
      );
      const [cut] = await all();
      expect(cut?.target?.length).toBeLessThan(600);
      expect(JSON.stringify(cut?.detail).length).toBeLessThan(30_000);
      expect(await verify()).toMatchObject({ intact: true, entries: 1 });
    });

    test('the database itself refuses to change or shorten it', async () => {
      await givenEntries(2);
      const { sql } = subjectOf();
      await expect(sql(`update audit set actor = 'user:eve'`)).rejects.toThrow(/append-only/);
      await expect(sql('delete from audit where seq = 2')).rejects.toThrow(/append-only/);
      await expect(sql('delete from audit_head')).rejects.toThrow(/append-only/);
      expect(await verify()).toMatchObject({ intact: true, entries: 2 });
    });

    test('every hand laid on it is found, and where', async () => {
      await givenEntries(5);
      const { hash } = await store().read.auditHead();
      const { tamper } = subjectOf();
      await tamper('create table kept as select * from audit');
      for (const [what, statements, seq, fault] of tamperings) {
        await tamper(statements);
        const verdict = await verify();
        expect(verdict, what).toMatchObject({ intact: false, broken: { seq, fault } });
        expect(verdict.broken?.message, what).toContain(String(seq));
        await tamper(`delete from audit; insert into audit select * from kept; update audit_head set hash = '${hash}'`);
        expect(await verify(), what).toMatchObject({ intact: true, entries: 5 });
      }
    });

    test('an end that was cut off whole is found by a head that was kept elsewhere', async () => {
      await givenEntries(5);
      const kept = (await verify()).head.hash;
      await givenEntries(1);
      expect(await verify(kept)).toMatchObject({ intact: true, entries: 6 });
      await subjectOf().tamper(
        `delete from audit where seq > 4; update audit_head set seq = 4, hash = (select hash from audit where seq = 4)`,
      );
      expect(await verify()).toMatchObject({ intact: true, entries: 4 });
      expect(await verify(kept)).toMatchObject({ intact: false, broken: { seq: null, fault: 'head_not_found' } });
    });
  });
}
