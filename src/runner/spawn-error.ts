import { existsSync } from 'node:fs';
import { BerthError } from '../protocol/errors.ts';

/** Why a process could not be started, by errno, naming the field at fault. */
export function spawnError(error: unknown, argv: readonly string[], cwd: string): BerthError {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  const options = { context: { command: argv[0], cwd, errno: code }, cause: error };
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      // The kernel does not say which of the two was missing.
      if (!existsSync(cwd)) return new BerthError('not_found', `no directory ${cwd}`, { field: 'cwd', ...options });
      return new BerthError('not_found', `no command ${argv[0]}`, { field: 'argv', ...options });
    case 'EACCES':
    case 'ENOEXEC':
      return new BerthError('invalid_request', `${argv[0]} cannot be executed`, { field: 'argv', ...options });
    case 'E2BIG':
      return new BerthError('payload_too_large', 'arguments and environment are too long', {
        field: 'argv',
        ...options,
      });
    case 'EAGAIN':
    case 'ENOMEM':
    case 'EMFILE':
    case 'ENFILE':
      return new BerthError('resource_exhausted', 'the sandbox is out of processes, files or memory', options);
    case 'ERR_INVALID_ARG_VALUE':
      return new BerthError('invalid_request', 'arguments, directory or environment hold a NUL', {
        field: 'argv',
        ...options,
      });
    default:
      return new BerthError('internal', `${argv[0]} could not be started`, options);
  }
}
