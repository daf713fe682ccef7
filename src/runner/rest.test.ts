import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { restFileSuffix } from '../protocol/runner-launch.ts';
import { createRestingListener } from './rest.ts';

test('a rest ends connections and lasts for as long as there is the file', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'berth-rest-'));
  const path = join(directory, 'runner.sock');
  const ready = () => expect.poll(() => existsSync(path)).toBe(true);
  const listener = createRestingListener(path, () => createServer().listen(path));
  try {
    await ready();
    const held = connect(path);
    await once(held, 'connect');
    await writeFile(`${path}${restFileSuffix}`, '');
    const closed = once(held, 'close');
    listener.rest();
    listener.rest();
    await closed;
    await expect.poll(() => existsSync(path)).toBe(false);
    await sleep(60);
    expect(existsSync(path)).toBe(false);
    await rm(`${path}${restFileSuffix}`);
    await ready();
    const again = connect(path);
    await once(again, 'connect');
    again.destroy();
  } finally {
    listener.close();
    await rm(directory, { recursive: true, force: true });
  }
});
