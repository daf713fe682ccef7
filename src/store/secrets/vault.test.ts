import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { githubAppRecord, modelKeyRecord } from '../../../test/conformance/store-records.ts';
import type { Clock } from '../../core/ports/clock.ts';
import type { KeyWrapper, SecretPlace } from '../../core/ports/secrets.ts';
import type { Store } from '../../core/ports/store.ts';
import { createSecretBox } from '../secret-box.ts';
import { createSqliteStore } from '../sqlite.ts';
import { createCommandWrapper } from './command-wrapper.ts';
import { createInstallationWrapper, createKeyFileWrapper } from './key-wrapper.ts';
import { createSecretVault } from './vault.ts';

let directory: string;
let store: Store;
let nowMs: number;
const clock: Clock = { now: () => new Date(nowMs), sleep: async () => {} };
const place: SecretPlace = { table: 'model_keys', row: 'key_1', column: 'sealed' };
const signal = () => AbortSignal.timeout(30_000);

beforeEach(async () => {
  nowMs = Date.parse('2026-11-29T12:00:00Z');
  directory = await mkdtemp(join(tmpdir(), 'berth-vault-'));
  store = await createSqliteStore({ path: ':memory:' });
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

const keyFile = () => join(directory, 'key');
async function open(...wrappers: KeyWrapper[]) {
  const used = wrappers.length > 0 ? wrappers : [await createInstallationWrapper(keyFile())];
  return createSecretVault({ store, wrappers: used, legacy: await createSecretBox(keyFile()), clock });
}

describe('a sealed secret', () => {
  test('opens at its place, also after a restart, and nowhere else', async () => {
    const vault = await open();
    const sealed = await vault.seal('sk-canary', place);
    expect(sealed).toMatch(/^v2\.dky_/);
    expect(sealed).not.toContain('canary');
    expect(await (await open()).open(sealed, place)).toBe('sk-canary');
    for (const other of [{ ...place, row: 'key_2' }, { ...place, table: 'x' }, { ...place, column: 'x' }]) {
      await expect(vault.open(sealed, other)).rejects.toMatchObject({ code: 'internal' });
    }
    const altered = sealed.slice(0, -2) + (sealed.endsWith('AA') ? 'BB' : 'AA');
    await expect(vault.open(altered, place)).rejects.toMatchObject({ code: 'internal' });
    await expect(vault.open('v2.dky_x.AAAA', place)).rejects.toMatchObject({ code: 'internal' });
  });

  test('of a version before data keys opens, and is sealed anew by a rotation', async () => {
    const legacy = await createSecretBox(keyFile());
    const app = githubAppRecord({ sealedPrivateKey: legacy.seal('pem'), sealedWebhookSecret: legacy.seal('hook'), sealedClientSecret: null });
    await store.transaction((tx) => tx.saveGithubApp(app));
    const vault = await open();
    const rotation = await vault.rotate(signal());
    expect(rotation).toMatchObject({ resealed: 2, removed: 0, kept: 1 });
    const after = (await store.read.githubApp())!;
    expect(after.sealedPrivateKey).toMatch(new RegExp(`^v2\\.${rotation.keyId}\\.`));
    const at = { table: 'github_app', row: '1', column: 'sealed_private_key' };
    expect(await vault.open(after.sealedPrivateKey, at)).toBe('pem');
    expect(after.sealedClientSecret).toBeNull();
  });

  test('two first servers at once agree on one data key', async () => {
    const [a, b] = await Promise.all([open(), open()]);
    expect(await b.open(await a.seal('x', place), place)).toBe('x');
    expect(await store.read.dataKeys()).toHaveLength(1);
  });
});

describe('a rotation', () => {
  async function givenKeys(count: number) {
    const vault = await open();
    for (let index = 0; index < count; index += 1) {
      const id = `key_${index}`;
      const sealed = await vault.seal(`secret ${index}`, { ...place, row: id });
      await store.transaction((tx) => tx.insertModelKey(modelKeyRecord({ id, name: id, sealed })));
    }
    return vault;
  }
  async function expectAllOpen(vault: Awaited<ReturnType<typeof open>>) {
    for (const [index, { id, sealed }] of (await store.read.modelKeys()).entries()) {
      expect(await vault.open(sealed, { ...place, row: id })).toBe(`secret ${index}`);
    }
  }

  test('that is killed at any instant leaves every secret readable, and the next one finishes', async () => {
    const vault = await givenKeys(3);
    // One transaction makes the key, one each replaces a value, the last removes what is unused.
    for (let allowed = 0; allowed <= 4; allowed += 1) {
      let left = allowed;
      const dying: Store = {
        ...store,
        transaction: (fn, options) => (left-- > 0 ? store.transaction(fn, options) : Promise.reject(new Error('killed'))),
      };
      const wrappers = [await createInstallationWrapper(keyFile())];
      const legacy = await createSecretBox(keyFile());
      await expect((await createSecretVault({ store: dying, wrappers, legacy, clock })).rotate(signal())).rejects.toThrow('killed');
      await expectAllOpen(vault);
      await expectAllOpen(await open());
    }
    nowMs += 3_600_000;
    const done = await (await open()).rotate(signal());
    expect(done.resealed).toBe(3);
    await expectAllOpen(vault);
    nowMs += 3_600_000;
    expect(await (await open()).rotate(signal())).toMatchObject({ resealed: 3, kept: 1 });
    expect((await store.read.dataKeys()).length).toBe(2);
  });

  test('to a new key file: both are needed until it is done, then the old one is not', async () => {
    await givenKeys(2);
    const [older, newer] = [await createInstallationWrapper(keyFile()), await createKeyFileWrapper(join(directory, 'new'))];
    await expect(open(newer)).rejects.toMatchObject({ message: expect.stringContaining('installation') });
    const both = await open(newer, older);
    await both.rotate(signal());
    await expectAllOpen(await open(newer));
    expect((await store.read.dataKeys()).filter((each) => each.retiredAt === null)).toMatchObject([{ wrapper: newer.id }]);
  });
});

describe('a command', () => {
  async function program(script: string): Promise<KeyWrapper> {
    const path = join(directory, 'kms');
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o700);
    return createCommandWrapper(path, { PATH: process.env['PATH'], SECRET: 'no' });
  }

  test('wraps and unwraps data keys over its standard input and output', async () => {
    const vault = await open(await program(`[ -z "$SECRET" ] || exit 9; read -r line; case $1 in wrap) echo "kms:$line";; unwrap) echo "$line" | cut -c5-;; esac`));
    expect(await vault.open(await vault.seal('x', place), place)).toBe('x');
    expect(await store.read.dataKeys()).toMatchObject([{ wrapper: 'command', wrapped: expect.stringMatching(/^kms:/) }]);
  });

  test.each([
    ['fails', 'echo "key was: $(cat)" >&2; exit 3', 'ended with 3'],
    ['says nothing', 'cat >/dev/null', 'one line'],
    ['floods', 'cat >/dev/null; head -c 1000000 /dev/zero | tr "\\0" a', 'more than'],
  ])('that %s is an error, without what it said', async (_what, script, message) => {
    const failed = open(await program(script));
    await expect(failed).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining(message) });
    await expect(failed).rejects.not.toMatchObject({ message: expect.stringContaining('key was') });
    expect(await store.read.dataKeys()).toEqual([]);
  });

  test('that does not give back what it wrapped seals nothing', async () => {
    await expect(open(await program('cat >/dev/null; head -c 32 /dev/zero | base64'))).rejects.toMatchObject({ code: 'internal' });
    expect(await store.read.dataKeys()).toEqual([]);
  });

  test('that is not there is named', async () => {
    await expect(open(createCommandWrapper(join(directory, 'absent'), {}))).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('ENOENT'),
    });
  });
});
