import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createSecretBox } from './secret-box.ts';

let directory: string;
let keyFile: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'berth-secret-box-'));
  keyFile = path.join(directory, 'key');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('sealing', () => {
  test('opens what it sealed, also after a restart', async () => {
    const sealed = (await createSecretBox(keyFile)).seal('a secret, ünïcode 🔑');
    expect((await createSecretBox(keyFile)).open(sealed)).toBe('a secret, ünïcode 🔑');
  });

  test('seals the empty text', async () => {
    const box = await createSecretBox(keyFile);
    expect(box.open(box.seal(''))).toBe('');
  });

  test('never seals twice alike, and marks the version', async () => {
    const box = await createSecretBox(keyFile);
    const sealed = new Set(Array.from({ length: 100 }, () => box.seal('same')));
    expect(sealed.size).toBe(100);
    for (const text of sealed) expect(text).toMatch(/^v1\.[\w-]+$/);
  });

  test('refuses altered text at every byte', async () => {
    const box = await createSecretBox(keyFile);
    const bytes = Buffer.from(box.seal('secret').slice('v1.'.length), 'base64url');
    for (let at = 0; at < bytes.length; at += 1) {
      const altered = Buffer.from(bytes);
      altered[at] = altered[at]! ^ 1;
      expect(() => box.open(`v1.${altered.toString('base64url')}`)).toThrow(
        expect.objectContaining({ code: 'internal' }),
      );
    }
  });

  test.each(['', 'v1.', 'v1.AAAA', 'v2.AAAA', 'plain text'])('refuses %j', async (text) => {
    const box = await createSecretBox(keyFile);
    expect(() => box.open(text)).toThrow(expect.objectContaining({ code: 'internal' }));
  });

  test('refuses what another key sealed', async () => {
    const other = await createSecretBox(path.join(directory, 'other'));
    const box = await createSecretBox(keyFile);
    expect(() => box.open(other.seal('secret'))).toThrow(expect.objectContaining({ code: 'internal' }));
  });
});

describe('key file', () => {
  test('is made with mode 0600, with nothing left beside it', async () => {
    await createSecretBox(keyFile);
    expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(['key']);
  });

  test('is one key for all that start at once', async () => {
    const boxes = await Promise.all(Array.from({ length: 8 }, () => createSecretBox(keyFile)));
    const sealed = boxes[0]!.seal('shared');
    for (const box of boxes) expect(box.open(sealed)).toBe('shared');
    expect(await readdir(directory)).toEqual(['key']);
  });

  test.each([0o640, 0o604, 0o660, 0o620])('is refused with mode %o', async (mode) => {
    await createSecretBox(keyFile);
    await chmod(keyFile, mode);
    await expect(createSecretBox(keyFile)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('is refused, not replaced, when it holds no key', async () => {
    await writeFile(keyFile, 'not a key', { mode: 0o600 });
    await expect(createSecretBox(keyFile)).rejects.toMatchObject({ code: 'internal' });
    expect(await readFile(keyFile, 'utf8')).toBe('not a key');
  });

  test('is refused as a symbolic link and as a directory', async () => {
    await createSecretBox(path.join(directory, 'real'));
    await symlink('real', keyFile);
    await expect(createSecretBox(keyFile)).rejects.toMatchObject({ code: 'internal' });
    await expect(createSecretBox(directory)).rejects.toMatchObject({ code: 'internal' });
  });

  test('names the directory that is missing', async () => {
    await expect(createSecretBox(path.join(directory, 'absent', 'key'))).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('absent'),
    });
  });
});
