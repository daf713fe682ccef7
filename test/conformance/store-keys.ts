import { describe, expect, test } from 'vitest';
import type { DataKeyRecord, ModelKeyRecord } from '../../src/core/ports/store.ts';
import type { StoreUnderTest } from './store.ts';

const at = '2026-01-01T00:00:00.000Z';
const later = '2026-01-02T00:00:00.000Z';

function modelKey(id: string, change: Partial<ModelKeyRecord>): ModelKeyRecord {
  return {
    id,
    scope: 'server',
    subject: '',
    name: 'main',
    api: 'anthropic',
    baseUrl: null,
    kind: 'api_key',
    sealed: 'v1.a',
    expiresAt: null,
    tokenUrl: null,
    clientId: null,
    renewingUntil: null,
    createdAt: at,
    updatedAt: at,
    ...change,
  };
}

const dataKey = (id: string, createdAt: string): DataKeyRecord => ({ id, wrapper: 'installation', wrapped: `w.${id}`, createdAt, retiredAt: null });

/** Model keys and data keys: by whom they serve, and sealed anew in their place. */
export function keySuite(subjectOf: () => StoreUnderTest): void {
  const store = () => subjectOf().store;

  describe('keys', () => {
    test('of models are found by whom they serve, changed and deleted', async () => {
      const server = modelKey('key_1', { api: 'openai', baseUrl: 'https://models.example.org/v1' });
      const team = modelKey('key_2', { scope: 'team', subject: 'crew' });
      const own = modelKey('key_3', { scope: 'user', subject: 'alice', kind: 'oauth', expiresAt: later, tokenUrl: 'https://a.example.org/token', clientId: 'c' });
      // Named like the team, and none of its.
      const other = modelKey('key_4', { scope: 'user', subject: 'crew' });
      await store().transaction(async (tx) => {
        for (const each of [server, team, own, other]) await tx.insertModelKey(each);
      });
      const { read } = store();
      expect(await read.modelKey('key_3')).toEqual(own);
      expect(await read.modelKey('key_9')).toBeNull();
      expect(await read.modelKeys()).toEqual([server, team, own, other]);
      expect(await read.modelKeys({ user: 'alice', teams: ['crew'] })).toEqual([server, team, own]);
      expect(await read.modelKeys({ user: 'alice', teams: [] })).toEqual([server, own]);
      expect(await read.modelKeys({ teams: ['crew'], api: 'anthropic' })).toEqual([team]);

      const change = { sealed: 'v1.b', renewingUntil: later, updatedAt: later };
      await store().transaction(async (tx) => {
        await tx.updateModelKey('key_3', change);
        await tx.deleteModelKey('key_4');
      });
      expect(await read.modelKeys({ user: 'alice' })).toEqual([server, { ...own, ...change }]);
      expect(await read.modelKeys()).toHaveLength(3);
      await expect(store().transaction((tx) => tx.insertModelKey(modelKey('key_5', { scope: 'team', subject: 'crew' })))).rejects.toMatchObject({ code: 'conflict' });
      await expect(store().transaction((tx) => tx.updateModelKey('key_9', change))).rejects.toMatchObject({ code: 'not_found' });
    });

    test('are sealed anew only where what is there is what was read', async () => {
      await store().transaction((tx) => tx.insertModelKey(modelKey('key_1', {})));
      const place = { table: 'model_keys', row: 'key_1', column: 'sealed' };
      expect(await store().read.sealedValues()).toEqual([{ place, sealed: 'v1.a' }]);
      expect(await store().transaction((tx) => tx.replaceSealed(place, 'v1.other', 'v1.b'))).toBe(false);
      expect(await store().transaction((tx) => tx.replaceSealed(place, 'v1.a', 'v1.b'))).toBe(true);
      expect((await store().read.modelKey('key_1'))?.sealed).toBe('v1.b');
      await expect(store().transaction((tx) => tx.replaceSealed({ ...place, column: 'name' }, 'main', 'x'))).rejects.toMatchObject({ code: 'internal' });
    });

    test('of data are listed by age, retired once and deleted', async () => {
      await store().transaction(async (tx) => {
        await tx.insertDataKey(dataKey('dek_b', later));
        await tx.insertDataKey(dataKey('dek_a', at));
        await tx.retireDataKey('dek_a', later);
        await tx.retireDataKey('dek_a', '2026-01-03T00:00:00.000Z');
      });
      expect(await store().read.dataKeys()).toEqual([{ ...dataKey('dek_a', at), retiredAt: later }, dataKey('dek_b', later)]);
      await store().transaction((tx) => tx.deleteDataKey('dek_a'));
      expect(await store().read.dataKeys()).toEqual([dataKey('dek_b', later)]);
    });
  });
}
