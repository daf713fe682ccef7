import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { BerthError } from '../../protocol/errors.ts';
import { frameType } from '../../protocol/frames.ts';
import type { ProcessSpec } from '../../protocol/runner-api.ts';
import { childEnv } from '../child-env.ts';
import { spawnError } from '../spawn-error.ts';
import type { ExitStatus, Started } from './started.ts';

/** Starts a process on pipes, as leader of its own session and group. Resolves when it was executed. */
export async function startPiped(spec: ProcessSpec, cwd: string): Promise<Started> {
  const [command, ...args] = spec.argv as [string, ...string[]];
  try {
    const child = spawn(command, args, {
      cwd,
      env: childEnv(spec.env),
      detached: true,
      stdio: [spec.stdin === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    });
    const exited = new Promise<ExitStatus>((resolve) => {
      child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
    });
    const outputs = [
      { type: frameType.stdout, stream: child.stdout! },
      { type: frameType.stderr, stream: child.stderr! },
    ];
    for (const { stream } of outputs) stream.on('error', () => undefined);
    // A process may close its stdin early: what is written after that is lost, as in a shell.
    child.stdin?.on('error', () => undefined);
    await once(child, 'spawn');
    return {
      pid: child.pid!,
      outputs,
      input: child.stdin,
      endInput: () => child.stdin?.end(),
      resize() {
        throw new BerthError('unsupported', 'the process has no terminal');
      },
      exited,
    };
  } catch (error) {
    throw spawnError(error, spec.argv, cwd);
  }
}
