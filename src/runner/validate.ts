import { BerthError } from '../protocol/errors.ts';
import type { ExecRequest, ProcessSpec } from '../protocol/runner-api.ts';

/**
 * The zod schemas cost the runner megabytes and tens of milliseconds, so plain requests are checked by hand
 * and only what fails that check is shown to the schema, which decides and names the field.
 * `isPlainExec` and `isPlainProcess` accept nothing that the schemas refuse (a property test holds that).
 */
export async function parseExecRequest(value: unknown): Promise<ExecRequest> {
  return isPlainExec(value) ? value : parseSlowly('execRequest', value);
}

export async function parseProcessSpec(value: unknown): Promise<ProcessSpec> {
  return isPlainProcess(value) ? value : parseSlowly('processSpec', value);
}

interface Schemas {
  execRequest: ExecRequest;
  processSpec: ProcessSpec;
}

async function parseSlowly<K extends keyof Schemas>(name: K, value: unknown): Promise<Schemas[K]> {
  const schemas = await import('../protocol/runner-api.ts');
  const result = schemas[name].safeParse(value);
  if (result.success) return result.data as Schemas[K];
  const issue = result.error.issues[0];
  const field = issue?.path.join('.');
  throw new BerthError('invalid_request', issue?.message ?? 'ill-formed', field ? { field } : {});
}

export function isPlainExec(value: unknown): value is ExecRequest {
  return (
    isPlainCommand(value, execKeys) &&
    isAbsentOr(value['stdin'], isBase64) &&
    isAbsentOr(value['timeoutMs'], (n) => isIntegerIn(n, 1, 3_600_000)) &&
    isAbsentOr(value['maxOutputBytes'], (n) => isIntegerIn(n, 1, 64 * 1024 * 1024))
  );
}

export function isPlainProcess(value: unknown): value is ProcessSpec {
  return (
    isPlainCommand(value, processKeys) &&
    isAbsentOr(value['stdin'], (flag) => typeof flag === 'boolean') &&
    isAbsentOr(value['pty'], isSize)
  );
}

const execKeys = new Set(['argv', 'cwd', 'env', 'stdin', 'timeoutMs', 'maxOutputBytes']);
const processKeys = new Set(['argv', 'cwd', 'env', 'stdin', 'pty']);
const sizeKeys = new Set(['cols', 'rows']);

function isPlainCommand(value: unknown, keys: ReadonlySet<string>): value is Record<string, unknown> {
  if (!isRecord(value) || !Object.keys(value).every((key) => keys.has(key))) return false;
  const argv = value['argv'];
  return (
    Array.isArray(argv) &&
    argv.length > 0 &&
    argv.length <= 4096 &&
    argv.every((item) => typeof item === 'string') &&
    isAbsentOr(value['cwd'], (cwd) => typeof cwd === 'string' && cwd.startsWith('/') && cwd.length <= 4096) &&
    isAbsentOr(value['env'], isEnvironment)
  );
}

function isEnvironment(value: unknown): boolean {
  return (
    isRecord(value) &&
    Object.entries(value).every(
      ([name, text]) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && typeof text === 'string' && text.length <= 131_072,
    )
  );
}

/** `{ cols, rows }` of a terminal. */
export function isSize(value: unknown): value is { cols: number; rows: number } {
  return (
    isRecord(value) &&
    Object.keys(value).every((key) => sizeKeys.has(key)) &&
    isIntegerIn(value['cols'], 1, 1000) &&
    isIntegerIn(value['rows'], 1, 1000)
  );
}

function isBase64(value: unknown): boolean {
  return typeof value === 'string' && value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value);
}

function isIntegerIn(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

function isAbsentOr(value: unknown, check: (value: unknown) => boolean): boolean {
  return value === undefined || check(value);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
