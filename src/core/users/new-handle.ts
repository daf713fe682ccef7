import type { StoreReads } from '../ports/store.ts';

const maxCharacters = 39;
const maxNumber = 1_000;

/** A handle that nobody has, like one of the names. A name that is taken is somebody else's: it gets a number. */
export async function newHandle(reads: Pick<StoreReads, 'user'>, names: readonly string[]): Promise<string> {
  const wished = names.map(asHandle).find((name) => name !== '') ?? 'user';
  for (let number = 1; number < maxNumber; number += 1) {
    const ending = number === 1 ? '' : `-${number}`;
    const handle = `${wished.slice(0, maxCharacters - ending.length)}${ending}`;
    if ((await reads.user(handle)) === null) return handle;
  }
  throw new Error(`no handle is left that is like ${wished}`);
}

function asHandle(name: string): string {
  return name
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .replace(/[^a-z0-9]+$/, '')
    .slice(0, maxCharacters);
}
