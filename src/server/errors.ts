import type { ErrorHandler, NotFoundHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { asBerthError, BerthError, toErrorBody } from '../protocol/errors.ts';
import type { Logger } from '../core/ports/logger.ts';
import type { AppEnv } from './context.ts';

/**
 * The one place where an error becomes a response. What is not a `BerthError` stays opaque outside and whole in the log.
 * `shown`: what of a path may be logged, where a key is in it.
 */
export function createErrorHandler(logger: Logger, shown: (path: string) => string = (path) => path): ErrorHandler<AppEnv> {
  return (thrown, c) => {
    const error = thrown instanceof HTTPException ? fromHttpException(thrown) : asBerthError(thrown);
    const fields = { requestId: c.get('requestId'), method: c.req.method, path: shown(c.req.path), code: error.code, err: thrown };
    if (error.status >= 500) logger.error(fields, 'request failed');
    else logger.debug(fields, 'request refused');
    if (error.retryable) c.header('retry-after', String(retryAfterSeconds(error)));
    return c.json(toErrorBody(error), error.status as ContentfulStatusCode);
  };
}

export const notFoundHandler: NotFoundHandler<AppEnv> = (c) => {
  const error = new BerthError('not_found', `there is nothing at ${c.req.method} ${c.req.path}`);
  return c.json(toErrorBody(error), 404);
};

/** Hono throws these for a body that is not JSON and the like. */
function fromHttpException(thrown: HTTPException): BerthError {
  if (thrown.status === 413) return new BerthError('payload_too_large', 'the body is too large', { field: 'body' });
  if (thrown.status < 500) {
    return new BerthError('invalid_request', thrown.message || 'the body is not JSON', { field: 'body', cause: thrown });
  }
  return new BerthError('internal', 'an internal error occurred', { cause: thrown });
}

/** As whoever refused says; else soon. */
function retryAfterSeconds({ context }: BerthError): number {
  const { retryAfterSeconds: said } = context;
  return typeof said === 'number' && said > 0 ? Math.ceil(said) : 1;
}
