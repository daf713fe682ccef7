import { unseen } from '../../protocol/inert-text.ts';

/** Whatever `berth` prints for people goes through these; only the raw streams of `exec` and `shell` do not. */
export { sanitize, sanitizeLine } from '../../protocol/inert-text.ts';

/** JSON that is safe on a terminal and unchanged in meaning: what JSON leaves raw is escaped too. */
export function safeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(unseen, (char) =>
    Array.from({ length: char.length }, (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`).join(''),
  );
}
