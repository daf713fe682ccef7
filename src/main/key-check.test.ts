import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Store } from '../core/ports/store.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import { checkKey } from './key-check.ts';

let store: Store;
beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
});
afterEach(() => store.close());

test('the first server gives the database its key; one with another is refused, and told what to do', async () => {
  await checkKey(store, 'a', '/first/key');
  await checkKey(store, 'a', '/second/key');
  await expect(checkKey(store, 'b', '/third/key')).rejects.toMatchObject({
    code: 'conflict',
    field: 'BERTH_KEY_FILE',
    message: expect.stringContaining('/third/key'),
  });
  await checkKey(store, 'a', '/first/key');
});
