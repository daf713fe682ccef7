import { chmod, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCommand } from '../../run-command.ts';
import { letThrough } from './passage.ts';

const [user, other] = [
  { uid: 64_001, gid: 64_001 },
  { uid: 64_002, gid: 64_002 },
];
let dataDir: string;
let lent: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'berth-passage-'));
  lent = join(dataDir, 'docker', 'sandboxes');
  await mkdir(lent, { recursive: true });
});

afterEach(() => rm(dataDir, { recursive: true }));

async function as({ uid, gid }: typeof user, ...command: string[]): Promise<boolean> {
  return (await runCommand('setpriv', [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...command])).exitCode === 0;
}

test('one user passes through the data directory, and sees no more of it; the next takes his place', async () => {
  await letThrough(user, dataDir, [lent]);
  expect(await as(user, 'ls', lent)).toBe(true);
  expect(await as(user, 'ls', dataDir)).toBe(false);
  expect(await as(user, 'touch', join(dataDir, 'file'))).toBe(false);
  expect(await as(other, 'ls', lent)).toBe(false);
  await letThrough(other, dataDir, [lent]);
  expect(await as(other, 'ls', lent)).toBe(true);
  expect(await as(user, 'ls', lent)).toBe(false);
  expect(await readdir(dataDir)).toEqual(['docker']);
});

test('where he passes anyway, nothing changes', async () => {
  await chmod(dataDir, 0o711);
  await letThrough(user, dataDir, [lent]);
  expect((await stat(dataDir)).mode & 0o777).toBe(0o711);
});

test('what is in the way and is not the data directory is named, and stays closed', async () => {
  await chmod(join(dataDir, 'docker'), 0o700);
  await expect(letThrough(user, dataDir, [lent])).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining(join(dataDir, 'docker')) as string,
  });
  expect((await stat(join(dataDir, 'docker'))).mode & 0o777).toBe(0o700);
});
