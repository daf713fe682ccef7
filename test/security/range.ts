import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BerthClient } from '../../src/sdk/index.ts';
import { guestHome, type SandboxLimits } from '../../src/core/ports/sandbox-provider.ts';
import { createInstallation, root, type TestInstallation, type TestServer } from '../e2e/harness.ts';
import { scriptedSession } from '../e2e/scripted.ts';
import { createBeside, type Beside } from './beside.ts';

export const guestNode = '/berth/runner/bin/node';
const guestPrograms = `${guestHome}/attacks`;
const programs = join(import.meta.dirname, 'programs');
const mebibyte = 1024 ** 2;

export interface Output {
  exitCode: number | null;
  out: string;
  err: string;
}

/** A server, one sandbox to attack from and others that must not notice. */
export interface Range {
  installation: TestInstallation;
  server: TestServer;
  client: BerthClient;
  attacker: string;
  /** The attacker's limits; the host has more of each. */
  limits: SandboxLimits;
  /** Sessions with work of their own. */
  bystanders: string[];
  /** A program of `programs/` in the attacker's sandbox, C ones compiled. */
  attack(program: string, ...args: string[]): Promise<Output>;
  /** Any command in a sandbox, in its home. */
  run(session: string, argv: string[], timeoutMs?: number): Promise<Output>;
  beside: Beside;
  close(): Promise<void>;
}

export async function openRange(env: Record<string, string>): Promise<Range> {
  const built = await compile(['escapes.c', 'exchange.c', 'hogs.c']);
  const installation = await createInstallation({ BERTH_SLOTS: '6', BERTH_SANDBOX_DISK_GIB: '1', ...env });
  const server = await installation.start();
  const limits = { cpus: 1, memoryBytes: 256 * mebibyte, pids: 256, diskBytes: 96 * mebibyte };
  const range: Range = {
    installation,
    server,
    client: server.client,
    attacker: '',
    limits,
    bystanders: [],
    attack: (program, ...args) => {
      const path = `${guestPrograms}/${program}`;
      return range.run(range.attacker, program.endsWith('.mjs') ? [guestNode, path, ...args] : [path, ...args]);
    },
    async run(session, argv, timeoutMs = 60_000) {
      const { exitCode, stdout, stderr } = await range.client.sessions.exec(session, { argv, cwd: guestHome, timeoutMs });
      const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      return { exitCode, out: decode(stdout), err: decode(stderr) };
    },
    beside: (name, attack) => beside(name, attack),
    async close() {
      await installation.remove();
    },
  };
  const beside = createBeside(range);
  try {
    const made = await Promise.all([
      scriptedSession(range.client, { limits, egress: { presets: ['open'], allow: [] } }),
      ...Array.from({ length: 4 }, () => scriptedSession(range.client, { limits: { ...limits, cpus: 0.5 } })),
    ]);
    const [attacker, ...bystanders] = made.map(({ id }) => id);
    range.attacker = attacker!;
    range.bystanders = bystanders;
    for (const name of ['raw.mjs', 'impostor.mjs']) await put(range, name, join(programs, name), 0o644);
    for (const [name, path] of built) await put(range, name, path, 0o755);
    return range;
  } catch (error) {
    await range.close();
    throw error;
  }
}

/** For the server's `LD_PRELOAD`: see `resolver.c`. */
export async function buildResolver(names: Record<string, string>): Promise<Record<string, string>> {
  const path = join(root, '.cache/attacks/resolver.so');
  await mkdir(join(path, '..'), { recursive: true });
  await promisify(execFile)('gcc', ['-shared', '-fPIC', '-O1', '-Wall', '-Werror', '-o', path, join(programs, 'resolver.c'), '-ldl']);
  const list = Object.entries(names).map(([name, addresses]) => `${name}=${addresses}`);
  return { LD_PRELOAD: path, TEST_NAMES: list.join(';') };
}

async function put(range: Range, name: string, path: string, mode: number): Promise<void> {
  await range.client.sessions.files.write(range.attacker, `${guestPrograms}/${name}`, await readFile(path), { mode, makeParents: true });
}

/** Without a C library of their own, so that they run in every template. */
async function compile(sources: readonly string[]): Promise<[string, string][]> {
  const directory = join(root, '.cache/attacks');
  await mkdir(directory, { recursive: true });
  return Promise.all(
    sources.map(async (source): Promise<[string, string]> => {
      const name = source.replace(/\.c$/, '');
      await promisify(execFile)('musl-gcc', ['-static', '-O1', '-Wall', '-Werror', '-o', join(directory, name), join(programs, source)]);
      return [name, join(directory, name)];
    }),
  );
}
