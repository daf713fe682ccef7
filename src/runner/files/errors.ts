import { BerthError, type ErrorCode } from '../../protocol/errors.ts';
import { errnoOf } from '../errno.ts';

const codes: Record<string, [ErrorCode, string]> = {
  ENOENT: ['not_found', 'does not exist'],
  ENOTDIR: ['conflict', 'is not a directory, or lies below something that is not'],
  EISDIR: ['conflict', 'is a directory'],
  EEXIST: ['conflict', 'exists already'],
  ENOTEMPTY: ['conflict', 'is a directory that is not empty'],
  EBUSY: ['conflict', 'is in use'],
  ETXTBSY: ['conflict', 'is in use'],
  EACCES: ['forbidden', 'may not be accessed'],
  EPERM: ['forbidden', 'may not be accessed'],
  EROFS: ['forbidden', 'is on a read-only file system'],
  ENXIO: ['unsupported', 'is not a file or directory'],
  EXDEV: ['unsupported', 'is on another file system'],
  EINVAL: ['invalid_request', 'cannot be used for this'],
  ENAMETOOLONG: ['invalid_request', 'is too long a name'],
  ELOOP: ['path_not_allowed', 'goes through too many symbolic links'],
  ENOSPC: ['resource_exhausted', 'does not fit on the disk'],
  EDQUOT: ['resource_exhausted', 'does not fit into the disk limit'],
  EFBIG: ['resource_exhausted', 'is too large for the file system'],
  EMFILE: ['resource_exhausted', 'needs more open files than there may be'],
  ENFILE: ['resource_exhausted', 'needs more open files than there may be'],
  ENOMEM: ['resource_exhausted', 'needs more memory than there is'],
};

/** Any failure of a file operation, by errno. `path` is the caller's, never an internal one. */
export function fileError(error: unknown, path: string, field = 'path'): unknown {
  if (error instanceof BerthError) return error;
  const errno = errnoOf(error);
  const row = errno === undefined || !Object.hasOwn(codes, errno) ? undefined : codes[errno];
  if (row === undefined) return error;
  return new BerthError(row[0], `${path} ${row[1]}`, { field, context: { path, errno }, cause: error });
}
