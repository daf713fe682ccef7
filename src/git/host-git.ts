import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../protocol/errors.ts';

/** What a forge accepts as HTTP basic credentials. GitHub: `x-access-token` and an installation's token. */
export interface GitCredential {
  username: string;
  password: string;
}

export interface HostGitOptions {
  /** A folder of Berth's own; holds the one configuration file that host git reads. */
  dir: string;
  /** What git's environment is picked from: PATH, proxies and certificates. */
  env: Readonly<Record<string, string | undefined>>;
  /** Whether `file:` remotes may be used. */
  allowLocal: boolean;
}

export interface GitCall {
  cwd?: string;
  signal: AbortSignal;
  /** Sent to the remote's own host only; handed over in the environment, never in argv or a file. */
  credential?: { url: string; value: GitCredential } | undefined;
  env?: Record<string, string>;
  input?: AsyncIterable<Uint8Array> | string;
  /** Lines of stderr as they come, progress included, cleaned of control characters. */
  onLine?: (line: string) => void;
}

export interface GitResult {
  exitCode: number;
  stdout: Buffer;
  /** The end of it, cleaned. */
  stderr: string;
}

/**
 * Runs git on the host, in folders that no sandbox can write. It reads no settings but Berth's own
 * file, runs no hooks, asks nobody, follows no redirect, checks every object it takes in, and
 * gives up on a connection that stands still.
 */
export interface HostGit {
  /** A non-zero exit is a result. Throws the signal's reason when it fires, and `unavailable` without git. */
  run(args: readonly string[], call: GitCall): Promise<GitResult>;
  /** As `run`, and throws `internal` on a non-zero exit. */
  must(args: readonly string[], call: GitCall): Promise<Buffer>;
  /** The output as it comes; ends with an error on a non-zero exit. Leaving the loop early ends git. */
  stream(args: readonly string[], call: GitCall): AsyncIterable<Uint8Array>;
}

/**
 * Old repositories are full of these; they harm nobody. What can harm (`.gitmodules`, `.git` in a
 * tree, symlinks over them) stays an error.
 */
const harmlessFaults = [
  'badTimezone',
  'missingSpaceBeforeDate',
  'zeroPaddedDate',
  'zeroPaddedFilemode',
  'badFilemode',
  'missingEmail',
  'missingNameBeforeEmail',
  'missingSpaceBeforeEmail',
  'badEmail',
  'badName',
  'nullSha1',
  'duplicateEntries',
  'treeNotSorted',
];

const settings = `[core]
	hooksPath = /dev/null
	askPass =
	fsyncMethod = batch
	fsync = objects,reference
[credential]
	helper =
[gc]
	auto = 0
[maintenance]
	auto = false
[fetch]
	fsckObjects = true
	unpackLimit = 1
	recurseSubmodules = false
[transfer]
	fsckObjects = true
[push]
	recurseSubmodules = no
	followTags = false
[http]
	followRedirects = false
	lowSpeedLimit = 1000
	lowSpeedTime = 60
[protocol]
	version = 2
[pack]
	threads = 2
[safe]
	directory = *
[fetch "fsck"]
${harmlessFaults.map((fault) => `\t${fault} = ignore\n`).join('')}`;

const maxOutputBytes = 256 * 1024 * 1024;
const stderrTailChars = 4000;
const killAfterMs = 3000;

export function createHostGit(options: HostGitOptions): HostGit {
  const settingsPath = join(options.dir, 'gitconfig');
  const base = baseEnvironment(options, settingsPath);
  let prepared: Promise<void> | null = null;

  async function prepare(): Promise<void> {
    prepared ??= (async () => {
      await mkdir(options.dir, { recursive: true });
      await writeFile(settingsPath, settings);
    })();
    // A failed preparation can be tried again.
    await prepared.catch((error: unknown) => {
      prepared = null;
      throw error;
    });
  }

  async function start(args: readonly string[], call: GitCall): Promise<Running> {
    call.signal.throwIfAborted();
    await prepare();
    const child = spawn('git', args, {
      cwd: call.cwd ?? options.dir,
      env: { ...base, ...credentialEnvironment(call.credential), ...call.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    return watch(child, call);
  }

  async function run(args: readonly string[], call: GitCall): Promise<GitResult> {
    const running = await start(args, call);
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    running.child.stdout.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes > maxOutputBytes) running.kill();
      else chunks.push(chunk);
    });
    const exitCode = await running.exit;
    if (sizeBytes > maxOutputBytes) throw new BerthError('resource_exhausted', `git ${args[0]} said too much`);
    return { exitCode, stdout: Buffer.concat(chunks), stderr: running.stderrTail() };
  }

  return {
    run,
    async must(args, call) {
      const result = await run(args, call);
      if (result.exitCode === 0) return result.stdout;
      throw failed(args, result.exitCode, result.stderr);
    },
    async *stream(args, call) {
      const running = await start(args, call);
      // Awaited below; a loop that is left early leaves its end unobserved.
      running.exit.catch(() => {});
      try {
        for await (const chunk of running.child.stdout as AsyncIterable<Buffer>) yield chunk;
        const exitCode = await running.exit;
        if (exitCode !== 0) throw failed(args, exitCode, running.stderrTail());
      } finally {
        running.kill();
      }
    },
  };
}

function failed(args: readonly string[], exitCode: number, stderr: string): BerthError {
  return new BerthError('internal', `git ${args[0]} failed`, { context: { exitCode, stderr } });
}

interface Running {
  child: ChildProcessWithoutNullStreams;
  /** Rejects with the signal's reason when that ended it. A signal's end counts as 128. */
  exit: Promise<number>;
  stderrTail(): string;
  kill(): void;
}

function watch(child: ChildProcessWithoutNullStreams, call: GitCall): Running {
  let tail = '';
  let rest = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    // Progress overwrites its line by carriage returns.
    const lines = (rest + text).split(/[\r\n]+/);
    rest = (lines.pop() ?? '').slice(-stderrTailChars);
    for (const line of lines.map(clean).filter((line) => line !== '')) {
      tail = `${tail}${line}\n`.slice(-stderrTailChars);
      call.onLine?.(line);
    }
  });

  const signalGroup = (name: NodeJS.Signals): void => {
    try {
      // The group: git does its work in children (remote helpers, index-pack).
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
        process.kill(-child.pid, name);
    } catch {
      // It has ended by itself.
    }
  };
  let killer: NodeJS.Timeout | undefined;
  const kill = (): void => {
    signalGroup('SIGTERM');
    killer ??= setTimeout(() => signalGroup('SIGKILL'), killAfterMs).unref();
  };
  call.signal.addEventListener('abort', kill, { once: true });

  // It may end without reading its input: that shows in its exit code.
  child.stdin.on('error', () => {});
  const feeding = feed(child, call.input);
  const exit = new Promise<number>((resolve, reject) => {
    child.once('error', (cause) => {
      reject(new BerthError('unavailable', 'git cannot be started on the Berth server; install git', { cause }));
    });
    child.once('close', (code) => resolve(code ?? 128));
  })
    .then(async (code) => {
      call.signal.throwIfAborted();
      await feeding;
      return code;
    })
    .finally(() => {
      clearTimeout(killer);
      call.signal.removeEventListener('abort', kill);
    });
  feeding.catch(kill);
  return { child, exit, kill, stderrTail: () => `${tail}${clean(rest)}`.trim() };
}

/** Rejects when the input itself fails; not when git stops reading it. */
async function feed(child: ChildProcessWithoutNullStreams, input: GitCall['input']): Promise<void> {
  if (typeof input === 'string' || input === undefined) {
    child.stdin.end(input ?? '');
    return;
  }
  for await (const chunk of input) {
    if (child.stdin.destroyed || child.exitCode !== null) return;
    if (!child.stdin.write(chunk)) {
      await new Promise<void>((resolve) => {
        child.stdin.once('drain', resolve);
        child.stdin.once('close', resolve);
      });
    }
  }
  child.stdin.end();
}

/** Of what a remote says, only what can be shown. */
function clean(line: string): string {
  /* oxlint-disable no-control-regex -- control characters are what is removed */
  return line
    .replace(/\x1b\[[0-9;]*[A-Za-z]/g, '')
    .replace(/[\x00-\x1f\x7f]/g, '')
    .trim()
    .slice(0, 500);
  /* oxlint-enable no-control-regex */
}

function baseEnvironment(options: HostGitOptions, settingsPath: string): Record<string, string> {
  const wanted = /^(?:PATH|TMPDIR|GIT_SSL_CAINFO|GIT_SSL_CAPATH|SSL_CERT_FILE|SSL_CERT_DIR|(?:https?|no|all)_proxy)$/i;
  const picked = Object.entries(options.env).filter((entry): entry is [string, string] => {
    return entry[1] !== undefined && wanted.test(entry[0]);
  });
  return {
    ...Object.fromEntries(picked),
    HOME: options.dir,
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: settingsPath,
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '',
    GIT_ALLOW_PROTOCOL: options.allowLocal ? 'https:http:file' : 'https:http',
    GIT_OPTIONAL_LOCKS: '0',
  };
}

function credentialEnvironment(credential: GitCall['credential']): Record<string, string> {
  if (credential === undefined || !/^https?:/.test(credential.url)) return {};
  return {
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: `http.${new URL(credential.url).origin}/.extraHeader`,
    GIT_CONFIG_VALUE_0: `Authorization: ${basicAuthorization(credential.value)}`,
  };
}

export function basicAuthorization(credential: GitCredential): string {
  return `Basic ${Buffer.from(`${credential.username}:${credential.password}`).toString('base64')}`;
}
