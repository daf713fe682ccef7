import type { Finding } from '../../core/ports/sandbox-provider.ts';
import { findProgram } from '../find-program.ts';

/** Programs that local providers cannot do without, and Debian's package of each. */
const neededByAll: Readonly<Record<string, string>> = {
  mount: 'mount',
  umount: 'mount',
  setpriv: 'util-linux',
  ldd: 'libc-bin',
  patchelf: 'patchelf',
  'tini-static': 'tini',
};

/** `more`: what a driver needs besides, and Debian's package of each. */
export async function programsFinding(more: Readonly<Record<string, string>> = {}): Promise<Finding> {
  const needed: Readonly<Record<string, string>> = { ...neededByAll, ...more };
  const found = await Promise.all(Object.keys(needed).map(async (name) => [name, await findProgram(name)] as const));
  const missing = found.filter(([, path]) => path === null).map(([name]) => name);
  return {
    subject: 'programs',
    status: missing.length === 0 ? 'ok' : 'missing',
    detected: missing.length === 0 ? Object.keys(needed).join(', ') : `not installed: ${missing.join(', ')}`,
    choice: missing.length === 0 ? 'all that is needed is there' : 'sandboxes cannot be made',
    advice:
      missing.length === 0 ? null : `apt-get install ${[...new Set(missing.map((name) => needed[name]))].join(' ')}`,
  };
}
