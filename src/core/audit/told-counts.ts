/**
 * Whether a count that went from `before` to `after` is to be told: the first time, and at each power of ten. So a flood
 * costs the log a few entries, and what each says is true of that moment.
 */
export function isTold(before: number, after: number): boolean {
  return Math.floor(Math.log10(Math.max(after, 0.1))) > Math.floor(Math.log10(Math.max(before, 0.1)));
}
