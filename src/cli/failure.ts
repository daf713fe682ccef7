import { CommanderError } from 'commander';
import { BerthError, type ErrorBody } from '../sdk/index.ts';
import { asBerthError, toErrorBody } from '../protocol/errors.ts';
import { exitCode, exitCodeFor } from './exit-codes.ts';
import { safeJson, sanitize, sanitizeLine } from './render/sanitize.ts';
import { createStyle, wantsColor } from './render/style.ts';

/** What a person can do about a failure, where that is known. */
const hints: Partial<Record<ErrorBody['error']['code'], string>> = {
  unavailable: 'Is the server up? Start it with: berth up',
  unauthorized: 'Sign in with: berth login <url>. Or give a token with --token or BERTH_TOKEN; berth up prints one.',
  not_found: 'Sessions are listed by: berth ls',
};

/** Tells stderr what went wrong, as a sentence or as `ErrorBody`, and gives the exit code. */
export function reportFailure(thrown: unknown, json: boolean): number {
  if (thrown instanceof CommanderError) return reportUsage(thrown, json);
  const error = asBerthError(thrown);
  if (json) {
    process.stderr.write(`${safeJson(toErrorBody(error))}\n`);
    return exitCodeFor(error.code);
  }
  const style = createStyle(wantsColor(process.stderr, process.env));
  // What Berth did not foresee keeps its own message: this is the user's machine, not a public server.
  const known = thrown instanceof BerthError;
  const message = known ? sanitizeLine(error.message) : sanitize(String((thrown as Error | null)?.stack ?? thrown));
  const field = error.field === undefined ? '' : ` (${sanitizeLine(error.field)})`;
  process.stderr.write(`${style.red('berth:')} ${message}${field}\n`);
  const hint = hints[error.code];
  if (hint !== undefined) process.stderr.write(`${style.dim(hint)}\n`);
  return exitCodeFor(error.code);
}

/** Commander has printed its own words already, unless JSON was asked for. Help is no failure. */
function reportUsage(error: CommanderError, json: boolean): number {
  if (error.exitCode === 0) return exitCode.ok;
  if (json) {
    const message = error.message.replace(/^error: /, '');
    process.stderr.write(`${safeJson(toErrorBody(new BerthError('invalid_request', message)))}\n`);
  }
  return exitCode.usage;
}

/** A mistake in how the command was called. */
export function usageError(message: string, field?: string): BerthError {
  return new BerthError('invalid_request', message, field === undefined ? {} : { field });
}
