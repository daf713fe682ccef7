import { z } from 'zod';
import { BerthError } from '../protocol/errors.ts';

/** A value as a `json` column holds it; `undefined`, which a change leaves alone, stays so. */
export function toJson<T>(value: T): T extends undefined ? undefined : string;
export function toJson(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

/** As `toJson`, with `null` for SQL's NULL. */
export function toNullableJson<T>(value: T): Exclude<T, object> | string;
export function toNullableJson(value: unknown): string | null | undefined {
  return value === null ? null : toJson(value);
}

/** Reads a `json` column. Throws `internal`, naming the column, when it does not hold what `schema` says. */
export function fromJson<T>(schema: z.ZodType<T>, column: string, stored: string): T {
  return check(schema, column, parse(column, stored));
}

export function fromNullableJson<T>(schema: z.ZodType<T>, column: string, stored: string | null): T | null {
  return stored === null ? null : fromJson(schema, column, stored);
}

/** Checks a stored word against the words this version knows. Throws `internal`, naming the column. */
export function check<T>(schema: z.ZodType<T>, column: string, stored: unknown): T {
  const result = schema.safeParse(stored);
  if (result.success) return result.data;
  throw invalid(column, result.error);
}

export function parse(column: string, stored: string): unknown {
  try {
    return JSON.parse(stored);
  } catch (error) {
    throw invalid(column, error);
  }
}

/** Reads a `json` column that must hold an object, without looking inside. */
export function parseObject(column: string, stored: string): Record<string, unknown> {
  const value = parse(column, stored);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw invalid(column, new TypeError('not an object'));
}

function invalid(column: string, cause: unknown): BerthError {
  return new BerthError('internal', `the stored value of ${column} is not valid`, { context: { column }, cause });
}
