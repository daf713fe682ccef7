import { execFileSync } from 'node:child_process';
import { linkSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, Socket, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRunner, type TestRunner } from '../../../test/fixtures/start-runner.ts';
import { createRunnerClient } from '../runner-client/index.ts';
import { openGuestChannel, type GuestChannel } from './guest-channel.ts';

/** The real runner behind a line as a guest has it: two pipes, which a relay joins to the machine's socket. */
let directory: string;
let runner: TestRunner;
let machine: Server;
let channel: GuestChannel;
const token = 'token-of-the-guest';
const { signal } = new AbortController();

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-line-'));
  for (const name of ['in', 'out']) {
    execFileSync('mkfifo', [join(directory, name)]);
    // The runner takes the names away.
    linkSync(join(directory, name), join(directory, `${name}.host`));
  }
  runner = await startRunner({ BERTH_RUNNER_LINK: directory });
  machine = createServer((socket) => {
    const input = new Socket({ fd: openSync(join(directory, 'in.host'), 'r+'), readable: false, writable: true });
    const output = new Socket({ fd: openSync(join(directory, 'out.host'), 'r+'), readable: true, writable: false });
    socket.pipe(input);
    output.pipe(socket);
    socket.once('close', () => [input, output].forEach((each) => each.destroy()));
  });
  const path = join(directory, 'link');
  await new Promise<void>((resolve) => machine.listen(path, resolve));
  channel = await openGuestChannel(path, AbortSignal.timeout(60_000));
  await channel.identify({ token, env: {} }, AbortSignal.timeout(60_000));
});

afterAll(async () => {
  channel.close();
  machine.close();
  await runner[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

test('files of any size go through a guest channel as they are', async () => {
  const client = createRunnerClient({ dial: () => channel.dial(signal), token });
  const block = new Uint8Array(2 ** 18).map((_, index) => index % 251);
  for (const blocks of [[block.subarray(0, 1)], [block, block, block, block]]) {
    const path = join(runner.workspace, 'file');
    const body = async function* () {
      yield* blocks;
    };
    await client.writeFile(path, body(), { makeParents: false }, signal);
    expect((await readFile(path)).equals(Buffer.concat(blocks))).toBe(true);
    const back = await client.readFile(path, {}, signal);
    expect(Buffer.from(await new Response(back).arrayBuffer()).equals(Buffer.concat(blocks))).toBe(true);
  }
  client.close();
});
