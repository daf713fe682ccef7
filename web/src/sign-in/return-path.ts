/** As much as the server keeps while the person is elsewhere. */
const maxCharacters = 500;

/** Where the person is, as the server takes it: without the fragment, which may hold a code. */
export function returnPath({ pathname, search }: Pick<Location, 'pathname' | 'search'>): string {
  const path = `${pathname}${search}`;
  return path.length > maxCharacters || path.startsWith('//') ? '/' : path;
}
