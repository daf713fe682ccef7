import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream';
import type { Logger } from '../core/ports/logger.ts';
import type { ModelCredential, ModelCredentials } from '../core/ports/model-credentials.ts';
import type { MeteredCall, ModelMeter } from '../core/ports/model-meter.ts';
import { asBerthError } from '../protocol/errors.ts';
import { requestHeadersFor, responseHeadersFor } from './headers.ts';
import { meterAnswer, meterNothing, type Metering } from './metering/meter-answer.ts';
import { BodyTooLarge } from './limit-bytes.ts';
import { sendModelError } from './model-errors.ts';
import type { GatewayFailure } from './model-errors.ts';
import { equalSecrets } from './placeholder.ts';
import { createRequestBody } from './request-body.ts';
import { credentialHeaders, isAllowedRoute, isMeteredRoute, modelApiRules, upstreamUrl } from './upstreams.ts';
import type { ModelApi } from './upstreams.ts';

export interface ModelProxyOptions {
  /** Where the real credentials come from. */
  credentials: ModelCredentials;
  /** Absent: calls are neither counted nor limited. */
  meter?: ModelMeter;
  logger: Logger;
  /** Of a request; the APIs' own limits are 32 MB and below. Default 64 MiB. */
  maxBodyBytes?: number;
  /** From the request's end to the answer's head; long because an unstreamed answer takes minutes. Default 15 min. */
  answerTimeoutMs?: number;
  /** Between two pieces of an answer. Default 10 min. */
  idleTimeoutMs?: number;
}

export interface ModelCall {
  sessionId: string;
  api: ModelApi;
  /** Below the API's own segment, version included: `/v1/messages`. */
  path: string;
  query: URLSearchParams;
  /** What this session's client must present. */
  placeholder: string;
}

/**
 * Carries one model call from a sandbox to the configured upstream: checks the session's placeholder
 * and the route, puts in the real key, and streams both bodies untouched with backpressure. A client
 * that goes away ends the upstream call. The real key is in the upstream request alone: not in logs,
 * not in errors, and not in answers (an upstream's own 401 and 403 may quote it and are replaced).
 */
export interface ModelProxy {
  handle(call: ModelCall, request: IncomingMessage, response: ServerResponse): void;
  /** Ends kept-alive connections. */
  close(): void;
}

export function createModelProxy(options: ModelProxyOptions): ModelProxy {
  const { credentials, meter, logger } = options;
  const maxBodyBytes = options.maxBodyBytes ?? 64 * 1024 * 1024;
  const answerTimeoutMs = options.answerTimeoutMs ?? 15 * 60_000;
  const idleTimeoutMs = options.idleTimeoutMs ?? 10 * 60_000;
  // Below what common load balancers keep (60 s), so that a call rarely meets a connection being closed.
  const agentOptions = { keepAlive: true, timeout: 45_000 };
  const httpAgent = new HttpAgent(agentOptions);
  const httpsAgent = new HttpsAgent(agentOptions);

  function refusal(call: ModelCall, request: IncomingMessage): GatewayFailure | null {
    if (!presentsKey(request, call)) {
      return { status: 401, message: 'Berth: the credential is not the one of this session' };
    }
    const method = request.method ?? '';
    if (!isAllowedRoute(call.api, method, call.path)) {
      return { status: 404, message: `Berth: the model gateway does not serve ${method} ${call.path.slice(0, 200)}` };
    }
    if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) {
      return { status: 413, message: `Berth: the request body is larger than ${maxBodyBytes} bytes` };
    }
    return null;
  }

  function handle(call: ModelCall, request: IncomingMessage, response: ServerResponse): void {
    const refused = refusal(call, request);
    const fields = { sessionId: call.sessionId, api: call.api, path: call.path.slice(0, 200) };
    const fail = (failure: GatewayFailure): void => {
      logger.info({ ...fields, status: failure.status, reason: failure.message }, 'model call refused or failed');
      sendModelError(response, call.api, failure);
      // What is left of the body is read and dropped, up to a limit, so that the answer can be read.
      drain(request, maxBodyBytes);
    };
    if (refused !== null) return fail(refused);
    // Nothing of the body is read until the call may be made.
    const gone = new AbortController();
    const onClose = (): void => gone.abort();
    response.once('close', onClose);
    admit(call, request.method ?? '', gone.signal).then(
      ({ credential, metered }) => {
        response.off('close', onClose);
        if (gone.signal.aborted) return;
        if (credential === null) fail(noCredential(call.api));
        else forward({ call, request, response, fields, fail, credential, metered });
      },
      (error: unknown) => {
        if (!gone.signal.aborted) fail(admissionFailure(error));
      },
    );
  }

  async function admit({ sessionId, api, path }: ModelCall, method: string, signal: AbortSignal) {
    const metered = meter === undefined || !isMeteredRoute(method, path) ? null : await meter.begin(sessionId, signal);
    // After what may be a long wait for an answer: a token that is fresh now.
    return { metered, credential: await credentials.find(sessionId, api) };
  }

  function forward({ call, request, response, fields, fail, credential, metered }: Forwarded): void {
    const startedAt = performance.now();
    call.query.delete('key');
    const url = upstreamUrl(credential.baseUrl ?? modelApiRules[call.api].baseUrl, call.path, call.query);
    const beta = request.headers['anthropic-beta'];
    const headers: OutgoingHttpHeaders = {
      ...requestHeadersFor(request.headers),
      ...credentialHeaders(call.api, credential, { anthropicBeta: Array.isArray(beta) ? beta.join(',') : beta }),
    };
    const secure = url.protocol === 'https:';
    const outgoing: ClientRequest = (secure ? httpsRequest : httpRequest)(url, {
      method: request.method ?? 'POST',
      headers,
      agent: secure ? httpsAgent : httpAgent,
    });
    const body = createRequestBody(maxBodyBytes);
    const metering: Metering | null =
      metered === null ? null : { metered, api: call.api, path: call.path, request: body };

    let settled = false;
    let answered = false;
    const settle = (failure: GatewayFailure | null, cause?: unknown): void => {
      if (settled) return;
      settled = true;
      // The upstream may bill what it was sent, whether or not anybody waits for the answer.
      if (failure === null && !answered && outgoing.writableFinished && metering !== null) meterNothing(metering);
      outgoing.destroy();
      if (failure === null) {
        response.destroy();
        return;
      }
      if (cause !== undefined) {
        logger.warn({ ...fields, upstream: url.host, cause: describeCause(cause) }, 'model upstream failed');
      }
      fail(failure);
    };

    outgoing.setTimeout(answerTimeoutMs, () => {
      settle({ status: 504, message: `Berth: the model upstream gave no answer within ${answerTimeoutMs / 1000} s` });
    });
    response.on('close', () => {
      if (!response.writableFinished) settle(null);
    });
    outgoing.on('error', (error) => {
      settle({ status: 502, message: `Berth: the model upstream cannot be reached (${describeCause(error)})` }, error);
    });
    outgoing.on('response', (answer) => {
      answered = true;
      const status = answer.statusCode ?? 502;
      if (status === 401 || status === 403) {
        answer.resume();
        // A token that ended before its time is renewed, and the agent asks again.
        void credential.refused().then((renewed) => {
          const { title } = modelApiRules[call.api];
          settle(
            renewed
              ? { status: 503, message: `Berth: the ${title} token was renewed; ask again` }
              : {
                  status,
                  message: `Berth: the ${title} upstream refused Berth's own credential (HTTP ${status}); check ${credential.label}`,
                },
          );
        });
        return;
      }
      if (status >= 300 && status < 400) {
        answer.resume();
        settle({ status: 502, message: `Berth: the model upstream redirects (HTTP ${status}); check its base URL` });
        return;
      }
      outgoing.setTimeout(idleTimeoutMs, () => settle(null));
      response.writeHead(status, responseHeadersFor(answer.headers));
      // Without it the head waits for the first byte of the body.
      response.flushHeaders();
      const done = (error?: Error | null): void => {
        const durationMs = Math.round(performance.now() - startedAt);
        if (error) {
          settle(null);
          logger.info({ ...fields, status, durationMs, cause: describeCause(error) }, 'model call broken off');
        } else {
          settled = true;
          logger.debug({ ...fields, status, durationMs }, 'model call');
        }
      };
      // A failure is not billed.
      if (metering === null || status >= 400) pipeline(answer, response, done);
      else pipeline(answer, meterAnswer(metering, answer.headers), response, done);
    });

    pipeline(request, body.stream, outgoing, (error) => {
      if (error instanceof BodyTooLarge) {
        settle({ status: 413, message: `Berth: the request body is larger than ${maxBodyBytes} bytes` });
      }
    });
  }

  return {
    handle,
    close() {
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

interface Forwarded {
  call: ModelCall;
  request: IncomingMessage;
  response: ServerResponse;
  /** For the log. */
  fields: object;
  fail: (failure: GatewayFailure) => void;
  credential: ModelCredential;
  metered: MeteredCall | null;
}

function noCredential(api: ModelApi): GatewayFailure {
  const { title, setting } = modelApiRules[api];
  return {
    status: 424,
    message: `Berth: there is no ${title} key for this session; add one with "berth key add --api ${api}", or set ${setting} in the environment of the Berth server and restart it`,
  };
}

/** Without a count, a budget and a credential no call is made. */
function admissionFailure(error: unknown): GatewayFailure {
  const { code, message, retryable } = asBerthError(error);
  if (code === 'not_found' || code === 'budget_reached' || code === 'forbidden') return { status: 403, message: `Berth: ${message}` };
  return retryable
    ? { status: 503, message: `Berth: ${message}` }
    : { status: 503, message: 'Berth: the call could not be prepared, so it is not made' };
}

function presentsKey(request: IncomingMessage, call: ModelCall): boolean {
  const bearer = /^Bearer +(.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const presented = [request.headers['x-api-key'], request.headers['x-goog-api-key'], bearer, call.query.get('key')];
  return presented.some((value) => typeof value === 'string' && equalSecrets(value, call.placeholder));
}

function drain(request: IncomingMessage, maxBytes: number): void {
  if (request.destroyed || request.readableEnded) return;
  let sizeBytes = 0;
  request.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) request.destroy();
  });
}

/** A system error's code; its message may hold addresses of the operator's network. */
function describeCause(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : error instanceof Error ? error.name : 'unknown';
}
