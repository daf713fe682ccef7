import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { SandboxProvider, SandboxSpec } from '../../src/core/ports/sandbox-provider.ts';
import { encodeFrame, FrameDecoder, frameType } from '../../src/protocol/frames.ts';
import { options, patienceMs, runnerOf, shell, specFor } from './sandbox-provider.ts';

type Spec = Pick<SandboxSpec, 'id' | 'runnerToken'>;

/** A sandbox with everything in it that must outlast a pause and a hibernate. */
export interface BusySandbox {
  spec: SandboxSpec;
  /** Where the counting loop is. */
  count(): Promise<number>;
  /** Throws when one of them has not gone on: the loop, the HTTP server, a connection inside, the shell in a PTY with its variable. */
  check(): Promise<void>;
}

const serverEvery = (everyMs: number) => `
  const { createServer, get, Agent } = require('node:http');
  const started = process.pid + ':' + Math.random();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let reused = 0;
  createServer((request, response) => response.end(request.url === '/inner' ? 'x' : started + ' ' + reused)).listen(3000, '127.0.0.1', () => {
    setInterval(() => {
      const call = get({ port: 3000, path: '/inner', agent }, (response) => response.resume());
      call.on('response', () => { if (call.reusedSocket) reused++; });
      call.on('error', () => {});
    }, ${everyMs});
  });
  require('node:fs').watch('/home/user', () => {});
`;

/** `current` gives the provider, which a restart replaces. `slow`: its programs run many times slower than the host's, so they are to do less. */
export async function createBusySandbox(
  current: () => SandboxProvider,
  template: string,
  { slow = false }: { slow?: boolean | undefined } = {},
): Promise<BusySandbox> {
  const provider = current();
  const spec = specFor(provider, template);
  await provider.create(spec, options());
  const runner = runnerOf(provider, spec);
  const { signal } = options();
  await runner.startProcess(
    {
      argv: ['/bin/sh', '-c', `i=0; while :; do i=$((i+1)); echo $i > count.new; mv count.new count; sleep ${slow ? 0.5 : 0.02}; done`],
    },
    signal,
  );
  await runner.startProcess({ argv: ['/berth/runner/bin/node', '-e', serverEvery(slow ? 500 : 50)] }, signal);
  const { id: terminal } = await runner.startProcess({ argv: ['/bin/bash'], pty: { cols: 80, rows: 24 } }, signal);
  runner.close();
  await typeInto(provider, spec, terminal, 'kept=va; kept=${kept}lue; echo "<$kept>"', '<value>');
  const first = await eventually(async () => ask(provider, spec));
  return {
    spec,
    count: async () => Number((await shell(current(), spec, 'cat count')).stdout),
    async check() {
      const before = Number((await shell(current(), spec, 'cat count')).stdout);
      await eventually(async () => {
        if (Number((await shell(current(), spec, 'cat count')).stdout) <= before)
          throw new Error('the loop stands still');
      });
      const [identity, reused] = await ask(current(), spec);
      expect(identity).toBe(first[0]);
      await eventually(async () => {
        if (Number((await ask(current(), spec))[1]) <= Number(reused)) throw new Error('the connection inside is gone');
      });
      await typeInto(current(), spec, terminal, 'echo "[$kept]"', '[value]');
    },
  };
}

/** Asks the HTTP server inside, from outside; its identity and how often its own client used its connection again. */
async function ask(provider: SandboxProvider, spec: Spec): Promise<string[]> {
  const stream = await provider.dial(spec.id, 3000, options());
  try {
    stream.write('GET / HTTP/1.0\r\n\r\n');
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    return text.split('\r\n\r\n')[1]!.split(' ');
  } finally {
    stream.destroy();
  }
}

/** Types a line and waits for what it prints. */
async function typeInto(
  provider: SandboxProvider,
  spec: Spec,
  process: string,
  line: string,
  expected: string,
): Promise<void> {
  const runner = runnerOf(provider, spec);
  try {
    const stream = await runner.attachProcess(process, 0, options(patienceMs).signal);
    stream.write(encodeFrame(frameType.stdin, `${line}\n`));
    const decoder = new FrameDecoder();
    let seen = '';
    for await (const chunk of stream) {
      for (const { type, payload } of decoder.push(chunk as Uint8Array)) {
        if (type === frameType.stdout) seen += Buffer.from(payload).toString('utf8');
      }
      if (seen.includes(expected)) break;
    }
    stream.destroy();
    expect(seen).toContain(expected);
  } finally {
    runner.close();
  }
}

export async function eventually<T>(attempt: () => Promise<T>, withinMs = patienceMs): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(20);
    }
  }
}
