import { BerthError } from '../../protocol/errors.ts';

export function readPath(url: URL): string {
  const path = url.searchParams.get('path');
  if (path === null) throw new BerthError('invalid_request', 'path is missing', { field: 'path' });
  return path;
}

/** `undefined` when absent. */
export function readInteger(url: URL, field: string): number | undefined {
  const text = url.searchParams.get(field);
  if (text === null) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new BerthError('invalid_request', `${field} must be a whole number`, { field });
  }
  return value;
}

/** Absent is false. */
export function readFlag(url: URL, field: string): boolean {
  const text = url.searchParams.get(field) ?? 'false';
  if (text !== 'true' && text !== 'false')
    throw new BerthError('invalid_request', `${field} is true or false`, { field });
  return text === 'true';
}
