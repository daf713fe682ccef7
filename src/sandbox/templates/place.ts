import { isAbsolute } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';

/** Where a template comes from, or goes to. */
export type Place =
  /** As skopeo names images: `docker://alpine:3`, `oci-archive:/path`. */
  | { kind: 'image'; reference: string; path: string | null }
  /** A file or a directory of this machine; what it is, a look tells. */
  | { kind: 'path'; path: string }
  /** A Debian or Ubuntu suite, from a mirror. */
  | { kind: 'suite'; suite: string; mirror: string | null };

/** Formats of images that are files. */
const fileTransports = new Set(['oci', 'oci-archive', 'docker-archive', 'dir']);
const imageName = /^[a-z0-9][a-zA-Z0-9._-]*(?::\d+)?(?:\/[a-z0-9][a-zA-Z0-9._-]*)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/;
const suiteName = /^[a-z][a-z0-9-]{1,40}$/;

/** Throws `invalid_request` naming `field`. */
export function parsePlace(text: string, field: 'from' | 'to'): Place {
  const refuse = (why: string): never => {
    throw new BerthError('invalid_request', `${JSON.stringify(text)}: ${why}`, { field });
  };
  if (text.startsWith('/')) return { kind: 'path', path: text };
  const colon = text.indexOf(':');
  const [scheme, rest] = colon < 0 ? ['', text] : [text.slice(0, colon), text.slice(colon + 1)];
  if (scheme === 'suite') {
    const at = rest.indexOf('@');
    const [suite, mirror] = at < 0 ? [rest, null] : [rest.slice(0, at), rest.slice(at + 1)];
    if (!suiteName.test(suite)) refuse('a suite is named like suite:bookworm');
    if (mirror !== null && !/^https?:\/\/[^\s@]+$/.test(mirror)) refuse('a mirror is an http or https address');
    return { kind: 'suite', suite, mirror };
  }
  if (fileTransports.has(scheme)) {
    if (!isAbsolute(rest)) refuse('the path must be absolute');
    // Behind a second colon is the image's name in it.
    return { kind: 'image', reference: text, path: rest.split(':')[0]! };
  }
  const name = scheme === 'docker' && rest.startsWith('//') ? rest.slice(2) : text;
  if (!imageName.test(name)) {
    refuse('neither an image (alpine:3, docker://host/name:tag), nor an archive (oci:, oci-archive:, docker-archive:/path), nor a path, nor suite:NAME');
  }
  return { kind: 'image', reference: `docker://${name}`, path: null };
}
