import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The part of node-pty's native module (v1.1, src/unix/pty.cc) that the runner calls. */
export interface PtyBinding {
  /**
   * `forkpty` and `execvp`. The child leads a session whose terminal is the returned one.
   * `fd` is the master, not blocking, closed on exec.
   */
  fork(
    file: string,
    args: readonly string[],
    env: readonly string[],
    cwd: string,
    cols: number,
    rows: number,
    uid: number,
    gid: number,
    utf8: boolean,
    helperPath: string,
    onExit: (exitCode: number, signal: number) => void,
  ): { fd: number; pid: number; pty: string };
  resize(fd: number, cols: number, rows: number): void;
}

let binding: PtyBinding | undefined;

/**
 * Called directly, not through node-pty's JavaScript: that cuts off output 200 ms after the exit, turns a failed
 * start into exit code 1 and answers `TERM` from its own environment.
 */
export function loadPtyBinding(): PtyBinding {
  if (binding === undefined) {
    const require = createRequire(import.meta.url);
    const beside = fileURLToPath(new URL('pty.node', import.meta.url));
    binding = require(existsSync(beside) ? beside : `@lydell/node-pty-linux-${process.arch}/pty.node`) as PtyBinding;
  }
  return binding;
}
