import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The kernel takes at most 128 KiB in one argument; a longer script goes through a file. */
const maxArgumentBytes = 100_000;
/** After the shell's exit, for output that is still in the pipe; background processes may hold it open. */
const drainMs = 100;
/** Between SIGTERM and SIGKILL when a script is cancelled. */
const killGraceMs = 2000;

export interface ScriptExit {
  exitCode: number | null;
  signal: string | null;
  cancelled: boolean;
}

/**
 * One script, run by bash, or sh where there is none, in a process group of its own. Background processes
 * that it leaves go on after it; cancelled, the whole group ends.
 */
export class ScriptRun {
  readonly exited: Promise<ScriptExit>;
  readonly #child: ChildProcess;
  #cancelled = false;

  constructor(script: string, cwd: string, onOutput: (chunk: Buffer) => void) {
    const shell = ['/bin/bash', '/usr/bin/bash', '/usr/local/bin/bash'].find((path) => existsSync(path)) ?? '/bin/sh';
    const { args, cleanUp } = scriptArguments(script);
    this.#child = spawn(shell, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    // Read for as long as this process lives: a server that the script left must not meet a broken pipe.
    this.#child.stdout?.on('data', onOutput);
    this.#child.stderr?.on('data', onOutput);
    this.exited = new Promise((resolve, reject) => {
      this.#child.once('error', (error) => {
        cleanUp();
        reject(error);
      });
      this.#child.once('exit', (exitCode, signal) => {
        cleanUp();
        const finish = () => resolve({ exitCode, signal, cancelled: this.#cancelled });
        const timer = setTimeout(finish, drainMs);
        this.#child.once('close', () => {
          clearTimeout(timer);
          finish();
        });
      });
    });
  }

  /** Ends the script's group. Idempotent. */
  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#signal('SIGTERM');
    setTimeout(() => this.#signal('SIGKILL'), killGraceMs).unref();
    // The leader may be gone before those that it started.
    void this.exited.then(() => this.#signal('SIGTERM'));
  }

  /** Ends the script's group at once. */
  kill(): void {
    this.#cancelled = true;
    this.#signal('SIGKILL');
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // The group is gone.
    }
  }
}

function scriptArguments(script: string): { args: string[]; cleanUp: () => void } {
  if (Buffer.byteLength(script) <= maxArgumentBytes) return { args: ['-c', script], cleanUp: () => undefined };
  const directory = mkdtempSync(join(tmpdir(), 'berth-shell-'));
  const path = join(directory, 'script.sh');
  writeFileSync(path, script, { mode: 0o600 });
  return { args: [path], cleanUp: () => rmSync(directory, { recursive: true, force: true }) };
}
