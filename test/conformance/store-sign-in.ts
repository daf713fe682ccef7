import { beforeEach, describe, expect, test } from 'vitest';
import type { DeviceRequestRecord, LinkedAccountRecord } from '../../src/core/ports/store.ts';
import { newId } from '../../src/protocol/ids.ts';
import type { StoreUnderTest } from './store.ts';

const at = '2026-01-01T00:00:00.000Z';
const later = '2026-01-01T00:10:00.000Z';

function account(subject: string, change: Partial<LinkedAccountRecord> = {}): LinkedAccountRecord {
  return {
    id: newId('linkedAccount'),
    issuer: 'https://id.example.org',
    subject,
    owner: 'alice',
    label: 'alice@example.org',
    origin: 'person',
    createdAt: at,
    lastUsedAt: null,
    ...change,
  };
}

function request(name: string, change: Partial<DeviceRequestRecord> = {}): DeviceRequestRecord {
  return {
    deviceHash: `device ${name}`,
    codeHash: `code ${name}`,
    client: 'laptop',
    address: '192.0.2.1',
    scopes: ['manage'],
    state: 'waiting',
    owner: null,
    createdAt: at,
    expiresAt: later,
    ...change,
  };
}

/** Accounts of other services, and devices that wait to be let in. */
export function signInSuite(subjectOf: () => StoreUnderTest): void {
  const store = () => subjectOf().store;

  describe('sign-in', () => {
    beforeEach(async () => {
      await store().transaction(async (tx) => {
        for (const handle of ['alice', 'bob']) {
          await tx.insertUser({ handle, displayName: handle, role: 'member', disabledAt: null, createdAt: at });
        }
      });
    });

    test('an account is one user’s, by issuer and subject together, and goes with him', async () => {
      const first = account('1');
      const elsewhere = account('1', { issuer: 'https://other.example.org', owner: 'bob', origin: 'rule' });
      await store().transaction(async (tx) => {
        await tx.insertLinkedAccount(first);
        await tx.insertLinkedAccount(elsewhere);
      });
      expect(await store().read.linkedAccount(first.issuer, '1')).toEqual(first);
      expect(await store().read.linkedAccount(elsewhere.issuer, '1')).toEqual(elsewhere);
      expect(await store().read.linkedAccount(first.issuer, '2')).toBeNull();
      const taken = store().transaction((tx) => tx.insertLinkedAccount(account('1', { owner: 'bob' })));
      await expect(taken).rejects.toMatchObject({ code: 'conflict' });

      await store().transaction((tx) => tx.updateLinkedAccount(first.id, { label: 'a@example.org', lastUsedAt: later }));
      expect(await store().read.linkedAccounts('alice')).toEqual([{ ...first, label: 'a@example.org', lastUsedAt: later }]);
      await store().transaction(async (tx) => {
        await tx.deleteLinkedAccount(first.id);
        await tx.deleteUser('bob');
      });
      expect(await store().read.linkedAccounts('alice')).toEqual([]);
      expect(await store().read.linkedAccount(elsewhere.issuer, '1')).toBeNull();
    });

    test('a device is found by either code, answered, and forgotten at its end', async () => {
      const [first, second] = [request('a'), request('b', { expiresAt: '2026-01-01T00:20:00.000Z' })];
      await store().transaction(async (tx) => {
        await tx.insertDeviceRequest(first);
        await tx.insertDeviceRequest(second);
      });
      expect(await store().read.deviceRequest(first.deviceHash)).toEqual(first);
      expect(await store().read.deviceRequestByCode(first.codeHash)).toEqual(first);
      expect(await store().read.deviceRequest(first.codeHash)).toBeNull();
      expect(await store().read.deviceRequestCount()).toBe(2);
      const taken = store().transaction((tx) => tx.insertDeviceRequest(request('c', { codeHash: first.codeHash })));
      await expect(taken).rejects.toMatchObject({ code: 'conflict' });

      await store().transaction(async (tx) => {
        await tx.updateDeviceRequest(second.deviceHash, { state: 'approved', owner: 'alice' });
        await tx.deleteDeviceRequestsUntil(later);
      });
      expect(await store().read.deviceRequest(first.deviceHash)).toBeNull();
      expect(await store().read.deviceRequest(second.deviceHash)).toEqual({ ...second, state: 'approved', owner: 'alice' });
      await store().transaction((tx) => tx.deleteDeviceRequest(second.deviceHash));
      expect(await store().read.deviceRequestCount()).toBe(0);
    });
  });
}
