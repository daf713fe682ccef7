import type { NewAuditEntry } from '../ports/store.ts';

/**
 * Parts of an entry come from agents, repositories and callers. They are cut here, for all, so that none can grow the
 * log or make the change fail that it tells of.
 */
const maxText = 500;
const maxItems = 50;
const maxDepth = 4;

export function boundedEntry(entry: NewAuditEntry): NewAuditEntry {
  return {
    ...entry,
    actor: boundedText(entry.actor),
    target: entry.target === null ? null : boundedText(entry.target),
    sessionId: entry.sessionId === null ? null : boundedText(entry.sessionId),
    detail: boundedValue(entry.detail, 0) as Record<string, unknown>,
  };
}

function boundedValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return boundedText(value);
  if (typeof value === 'boolean' || value === null) return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (depth >= maxDepth || typeof value !== 'object') return value === undefined ? undefined : '…';
  if (Array.isArray(value)) return value.slice(0, maxItems).map((each) => boundedValue(each, depth + 1) ?? null);
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, maxItems)
      .map(([key, each]) => [boundedText(key), boundedValue(each, depth + 1)]),
  );
}

/** One line of well-formed text without control characters: a NUL is nothing that every database takes. */
function boundedText(text: string): string {
  const cut = text.length > maxText ? `${text.slice(0, maxText)}…` : text;
  // oxlint-disable-next-line no-control-regex -- they are what is replaced
  return cut.toWellFormed().replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '\uFFFD');
}
