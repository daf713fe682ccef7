/** The oldest release with which it was tried. Older ones start a sandbox anew after a checkpoint instead of letting it go on. */
const oldest = 20_240_729;

/** `version` as runsc prints it: `0.0~20240729.0`, `20240729.0`. One without a date is taken for too old. */
export function canCheckpoint(version: string): boolean {
  return Number(/\b(20\d{6})\b/.exec(version)?.[1] ?? 0) >= oldest;
}
