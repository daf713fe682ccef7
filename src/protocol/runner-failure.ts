import { BerthError, fromErrorBody, type ErrorCode } from './errors.ts';
import { sanitizeLine } from './inert-text.ts';

/** What a runner may say of what it was asked for. Anything else would tell our caller something of Berth that a sandbox does not know. */
const runnerCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'agent_failed',
  'cancelled',
  'conflict',
  'invalid_request',
  'method_not_allowed',
  'not_found',
  'path_not_allowed',
  'payload_too_large',
  'resource_exhausted',
  'sandbox_lost',
  'timeout',
  'unavailable',
  'unsupported',
]);

const maxMessageLength = 4096;
const maxFieldLength = 200;
const maxContextLength = 4096;

/**
 * The failure that a runner's answer tells of. Who answered may be a program of the sandbox in the runner's place: the code is one
 * that a runner has, else `upstream_failed` (a caller is not signed out, asked for money or told to wait by a sandbox), and
 * the text is one line that can be shown.
 */
export function runnerFailure(body: unknown, status: number): BerthError {
  const said = fromErrorBody(body, status);
  if (said.code === 'unauthorized') {
    return new BerthError('upstream_failed', "the runner refused the sandbox's token", { context: { status } });
  }
  const message = sanitizeLine(said.message.slice(0, maxMessageLength));
  if (!runnerCodes.has(said.code)) {
    return new BerthError('upstream_failed', `the runner failed: ${message}`, { context: { status } });
  }
  return new BerthError(said.code, message, {
    ...(said.field === undefined ? {} : { field: sanitizeLine(said.field.slice(0, maxFieldLength)) }),
    context: JSON.stringify(said.context).length > maxContextLength ? { status } : said.context,
  });
}
