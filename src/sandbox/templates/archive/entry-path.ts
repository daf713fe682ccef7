import { BerthError } from '../../../protocol/errors.ts';

const maxPathBytes = 4096;
const maxNameBytes = 255;
const maxDepth = 256;

/**
 * The components of a path in an archive; none for the root itself. Throws `invalid_request` for one that leads, or could be taken
 * to lead, anywhere but down: an archive that has such a path was not made of a file system.
 */
export function entryPath(name: string): string[] {
  const refuse = (why: string): never => {
    throw new BerthError('invalid_request', `the archive has an entry ${JSON.stringify(name.slice(0, 200))}: ${why}`, { field: 'from' });
  };
  if (name.includes('\0')) refuse('its name has a NUL');
  if (name.startsWith('/')) refuse('its path is absolute');
  if (Buffer.byteLength(name) > maxPathBytes) refuse('its path is too long');
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) refuse('its path leads upwards');
  if (parts.length > maxDepth) refuse('its path is too deep');
  if (parts.some((part) => Buffer.byteLength(part) > maxNameBytes)) refuse('a part of its path is too long');
  return parts;
}
