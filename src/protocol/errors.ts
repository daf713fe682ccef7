/**
 * The one error table of Berth. Every failure that crosses a boundary (runner, provider, store,
 * HTTP) is a `BerthError` with a code from this table; `server/` alone turns it into a response.
 *
 * `status` is the HTTP status; `retryable` says whether the same call may succeed later unchanged.
 */
export const errorTable = {
  invalid_request: { status: 400, retryable: false },
  unauthorized: { status: 401, retryable: false },
  /** A budget is used up. */
  budget_reached: { status: 402, retryable: false },
  forbidden: { status: 403, retryable: false },
  /** A quota leaves no room; `context.quota` says which. */
  quota_exceeded: { status: 403, retryable: false },
  not_found: { status: 404, retryable: false },
  method_not_allowed: { status: 405, retryable: false },
  conflict: { status: 409, retryable: false },
  payload_too_large: { status: 413, retryable: false },
  unsupported: { status: 422, retryable: false },
  /** The path leaves the workspace or is otherwise not one a caller may name. */
  path_not_allowed: { status: 422, retryable: false },
  rate_limited: { status: 429, retryable: true },
  cancelled: { status: 499, retryable: false },
  internal: { status: 500, retryable: false },
  /** A backend (runtime, forge, model upstream) answered with a failure. */
  upstream_failed: { status: 502, retryable: true },
  unavailable: { status: 503, retryable: true },
  timeout: { status: 504, retryable: true },
  /** A file system, quota or memory limit was hit. */
  resource_exhausted: { status: 507, retryable: false },
  unknown_agent: { status: 422, retryable: false },
  unknown_template: { status: 422, retryable: false },
  agent_failed: { status: 502, retryable: true },
  repository_not_found: { status: 422, retryable: false },
  repository_refused: { status: 422, retryable: false },
  branch_not_found: { status: 422, retryable: false },
  sandbox_lost: { status: 503, retryable: true },
} as const satisfies Record<string, { status: number; retryable: boolean }>;

export type ErrorCode = keyof typeof errorTable;

export interface BerthErrorOptions {
  /** The request field at fault, dotted: `limits.memoryBytes`. */
  field?: string;
  /** Facts for logs and for the caller. Never a secret. */
  context?: Record<string, unknown>;
  cause?: unknown;
}

export class BerthError extends Error {
  override readonly name = 'BerthError';
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly context: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: BerthErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.field = options.field;
    this.context = options.context ?? {};
  }

  get status(): number {
    return errorTable[this.code].status;
  }

  get retryable(): boolean {
    return errorTable[this.code].retryable;
  }
}

/** The wire shape of a failure: `{ "error": { code, message, field?, context?, retryable } }`. */
export interface ErrorBody {
  error: {
    code: ErrorCode;
    message: string;
    field?: string;
    retryable: boolean;
    context?: Record<string, unknown>;
  };
}

export function toErrorBody(error: BerthError): ErrorBody {
  return {
    error: {
      code: error.code,
      message: error.message,
      ...(error.field === undefined ? {} : { field: error.field }),
      retryable: error.retryable,
      ...(Object.keys(error.context).length === 0 ? {} : { context: error.context }),
    },
  };
}

/** Reads a failure off the wire; an unknown code becomes `internal` with the status kept in context. */
export function fromErrorBody(body: unknown, status: number): BerthError {
  const error = (body as { error?: Record<string, unknown> } | null)?.error;
  const code = error?.['code'];
  const message = typeof error?.['message'] === 'string' ? error['message'] : `HTTP ${status}`;
  const field = error?.['field'];
  const context = error?.['context'];
  return new BerthError(isErrorCode(code) ? code : codeForStatus(status), message, {
    ...(typeof field === 'string' ? { field } : {}),
    context: typeof context === 'object' && context !== null ? { ...context, status } : { status },
  });
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorTable, code);
}

function codeForStatus(status: number): ErrorCode {
  for (const [code, row] of Object.entries(errorTable)) {
    if (row.status === status) return code as ErrorCode;
  }
  return 'internal';
}

/** Every thrown value as a `BerthError`; what is not one becomes an opaque `internal` with its cause. */
export function asBerthError(error: unknown): BerthError {
  if (error instanceof BerthError) return error;
  if (error instanceof Error && error.name === 'AbortError') {
    return new BerthError('cancelled', 'the operation was cancelled', { cause: error });
  }
  if (error instanceof Error && error.name === 'TimeoutError') {
    return new BerthError('timeout', 'the operation ran out of time', { cause: error });
  }
  return new BerthError('internal', 'an internal error occurred', { cause: error });
}
