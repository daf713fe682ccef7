import { CommanderError, InvalidArgumentError } from 'commander';
import { BerthError, type ErrorBody } from '../sdk/index.ts';
import { asBerthError, toErrorBody } from '../protocol/errors.ts';
import { exitCode, exitCodeFor } from './exit-codes.ts';
import { safeJson, sanitize, sanitizeLine } from './render/sanitize.ts';
import { createStyle, wantsColor } from './render/style.ts';

/** What a person can do about a failure, where that is known. */
const hints: Partial<Record<ErrorBody['error']['code'], string>> = {
  unavailable: 'Is the server up? Start it with: berth up',
  unauthorized: 'Sign in with: berth login <url>. Or give a token with --token or BERTH_TOKEN; berth up prints one.',
};

/** What lists the things of a kind, by what the server calls one. */
const listedBy: Readonly<Record<string, string>> = {
  session: 'Sessions are listed by: berth ls',
  snapshot: 'Snapshots are listed by: berth snapshot ls',
  template: 'Templates are listed by: berth template ls',
  user: 'Users are listed by: berth user ls',
  team: 'Teams are listed by: berth team ls',
  token: 'Tokens are listed by: berth token ls',
  key: 'Keys are listed by: berth key ls',
  secret: 'Secrets are listed by: berth secret ls',
};

function hintFor({ code, message }: BerthError): string | undefined {
  return code === 'not_found' ? listedBy[/^there is no (\w+)/.exec(message)?.[1] ?? ''] : hints[code];
}

/** Tells stderr what went wrong, as a sentence or as `ErrorBody`, and gives the exit code. */
export function reportFailure(thrown: unknown, json: boolean): number {
  // A parser of options that a command calls itself: Commander did not see it, and has printed nothing.
  if (thrown instanceof InvalidArgumentError) return reportFailure(usageError(thrown.message), json);
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
  // Many a message begins with it.
  const isNamed = error.field === undefined || [`${error.field}:`, `--${error.field}`].some((start) => error.message.startsWith(start));
  const field = isNamed ? '' : ` (${sanitizeLine(error.field ?? '')})`;
  process.stderr.write(`${style.red('berth:')} ${message}${field}\n`);
  const hint = hintFor(error);
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
