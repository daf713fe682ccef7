import { describe, expect, test } from 'vitest';
import type { SecretHolder, SecretRecord } from '../../src/core/ports/store.ts';
import { newId } from '../../src/protocol/ids.ts';
import type { StoreUnderTest } from './store.ts';

const at = '2026-01-01T00:00:00.000Z';
const alice: SecretHolder = { kind: 'user', name: 'alice' };
const crew: SecretHolder = { kind: 'team', name: 'crew' };

function record(holder: SecretHolder, name: string, change: Partial<SecretRecord> = {}): SecretRecord {
  return {
    id: newId('secret'),
    holder,
    name,
    hosts: ['api.example.org', 'other.example.org:8443'],
    header: 'Authorization',
    template: 'Bearer {value}',
    sealed: 'v1.x',
    createdAt: at,
    updatedAt: at,
    ...change,
  };
}

/** Secrets: by whose they are, and gone with whom they are of. */
export function secretSuite(subjectOf: () => StoreUnderTest): void {
  const store = () => subjectOf().store;

  describe('secrets', () => {
    test('are kept, replaced and deleted, each for its holder', async () => {
      const [own, second, teams] = [record(alice, 'b'), record(alice, 'a'), record(crew, 'b')];
      await store().transaction(async (tx) => {
        await tx.insertUser({ handle: 'alice', displayName: 'Alice', role: 'member', disabledAt: null, createdAt: at });
        await tx.insertTeam({ name: 'crew', displayName: 'Crew', createdAt: at });
        for (const each of [own, second, teams]) await tx.upsertSecret(each);
      });
      expect(await store().read.secrets(alice)).toEqual([second, own]);
      expect(await store().read.secrets(crew)).toEqual([teams]);
      expect(await store().read.secrets({ kind: 'user', name: 'crew' })).toEqual([]);

      const changed = { ...own, hosts: ['new.example.org'], sealed: 'v1.y', updatedAt: '2026-01-02T00:00:00.000Z' };
      await store().transaction(async (tx) => {
        await tx.upsertSecret(changed);
        await tx.deleteSecret(second.id);
      });
      expect(await store().read.secrets(alice)).toEqual([changed]);
      await expect(store().transaction((tx) => tx.upsertSecret(record(alice, 'b')))).rejects.toMatchObject({ code: 'conflict' });
    });

    test('go with their team', async () => {
      await store().transaction(async (tx) => {
        await tx.insertTeam({ name: 'crew', displayName: 'Crew', createdAt: at });
        await tx.upsertSecret(record(crew, 'a'));
      });
      await store().transaction((tx) => tx.deleteTeam('crew'));
      await store().transaction((tx) => tx.insertTeam({ name: 'crew', displayName: 'Others', createdAt: at }));
      expect(await store().read.secrets(crew)).toEqual([]);
    });
  });
}
