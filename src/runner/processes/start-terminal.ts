import { constants } from 'node:os';
import { ReadStream } from 'node:tty';
import { frameType } from '../../protocol/frames.ts';
import type { ProcessSpec } from '../../protocol/runner-api.ts';
import { childEnv } from '../child-env.ts';
import { spawnError } from '../spawn-error.ts';
import { findCommand } from './find-command.ts';
import { loadPtyBinding } from './pty-binding.ts';
import type { ExitStatus, Started } from './started.ts';

/** VEOF: what ^D sends. A terminal has no other end of input. */
const endOfTransmission = Buffer.from([4]);

/** Starts a process on a terminal of its own. */
export function startTerminal(spec: ProcessSpec & { pty: { cols: number; rows: number } }, cwd: string): Started {
  const env = childEnv({ PWD: cwd, ...spec.env });
  const binding = loadPtyBinding();
  try {
    const file = findCommand(spec.argv[0]!, env['PATH'] ?? '', cwd);
    if ([...spec.argv, cwd, ...Object.values(env)].some((text) => text.includes('\0'))) {
      throw Object.assign(new Error('NUL'), { code: 'ERR_INVALID_ARG_VALUE' });
    }
    const { promise: exited, resolve } = Promise.withResolvers<ExitStatus>();
    const { fd, pid } = binding.fork(
      file,
      spec.argv.slice(1),
      Object.entries(env).map(([name, value]) => `${name}=${value}`),
      cwd,
      spec.pty.cols,
      spec.pty.rows,
      -1,
      -1,
      true,
      '',
      (exitCode, signal) =>
        resolve(signal === 0 ? { exitCode, signal: null } : { exitCode: null, signal: signalName(signal) }),
    );
    const stream = new ReadStream(fd);
    // EIO: the last process on the terminal closed it.
    stream.on('error', () => stream.destroy());
    return {
      pid,
      outputs: [{ type: frameType.stdout, stream }],
      input: stream,
      endInput: () => stream.write(endOfTransmission),
      resize({ cols, rows }) {
        if (!stream.destroyed) binding.resize(fd, cols, rows);
      },
      exited,
    };
  } catch (error) {
    throw spawnError(error, spec.argv, cwd);
  }
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `SIG${number}`;
}
