import type { ServerResponse } from 'node:http';
import type { ModelApi } from './upstreams.ts';

/** What the gateway itself refuses or fails with; told to the agent in its own API's words. */
export interface GatewayFailure {
  status: 400 | 401 | 403 | 404 | 413 | 424 | 502 | 503 | 504;
  message: string;
}

const anthropicTypes: Record<GatewayFailure['status'], string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  424: 'api_error',
  502: 'api_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};

const openaiTypes: Record<GatewayFailure['status'], string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'invalid_request_error',
  413: 'invalid_request_error',
  424: 'server_error',
  502: 'server_error',
  503: 'server_error',
  504: 'server_error',
};

const geminiStatuses: Record<GatewayFailure['status'], string> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  413: 'INVALID_ARGUMENT',
  424: 'FAILED_PRECONDITION',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/** The error body in the API's own shape, so that an agent shows the message and not a parse failure. */
export function modelErrorBody(api: ModelApi, failure: GatewayFailure): object {
  const { status, message } = failure;
  switch (api) {
    case 'anthropic':
      return { type: 'error', error: { type: anthropicTypes[status], message } };
    case 'openai':
      return { error: { message, type: openaiTypes[status], param: null, code: `berth_${status}` } };
    case 'gemini':
      return { error: { code: status, message, status: geminiStatuses[status] } };
  }
}

/** Answers with the failure, or breaks the stream off when an answer is under way already. */
export function sendModelError(response: ServerResponse, api: ModelApi, failure: GatewayFailure): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = JSON.stringify(modelErrorBody(api, failure));
  response.writeHead(failure.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    // The SDKs of Anthropic and OpenAI heed this; a refusal does not change by asking again.
    'x-should-retry': failure.status >= 500 ? 'true' : 'false',
  });
  response.end(body);
}
