import { usageError } from './failure.ts';

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90s`, `15m`, `2h`, `14d` as seconds; `never` as `null`. */
export function parseDuration(text: string, option: string): number | null {
  if (text === 'never') return null;
  const match = /^(\d{1,9})([smhd])$/.exec(text);
  const seconds = match === null ? 0 : Number(match[1]) * (units[match[2] as string] as number);
  if (seconds > 0) return seconds;
  throw usageError(`--${option}: a time such as 90s, 15m, 2h or 14d, or never; not "${text}"`, option);
}
