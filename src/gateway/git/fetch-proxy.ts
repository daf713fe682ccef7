import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream';
import type { GitControl } from '../../core/ports/git-control.ts';
import type { Logger } from '../../core/ports/logger.ts';
import { responseHeadersFor } from '../headers.ts';
import { BodyTooLarge, limitBytes } from '../limit-bytes.ts';
import { answerText } from './answer-text.ts';
import type { GitTarget } from './git-target.ts';

export interface FetchProxy {
  handle(url: string, step: GitTarget['step'], request: IncomingMessage, response: ServerResponse): Promise<void>;
  close(): void;
}

/** Of what a client has and wants; a negotiation over ten thousand branches takes some megabytes. */
const maxRequestBytes = 64 * 1024 * 1024;
/** A forge counts the objects of a large repository before it says anything. */
const answerTimeoutMs = 5 * 60_000;
/** What a fetch consists of; all else of a sandbox's, credentials included, stays behind. */
const headersToUpstream = ['accept', 'accept-encoding', 'content-type', 'content-encoding', 'user-agent'] as const;

/**
 * Carries a fetch to the forge and its answer back untouched, with the credential put in: protocol 2, shallow and
 * partial fetches are between the two. The forge's refusals are told in Berth's words, and a redirect is one.
 */
export function createFetchProxy({ control, logger }: { control: GitControl; logger: Logger }): FetchProxy {
  // Below what common load balancers keep (60 s), so that a call rarely meets a connection being closed.
  const agentOptions = { keepAlive: true, timeout: 45_000 };
  const httpAgent = new HttpAgent(agentOptions);
  const httpsAgent = new HttpsAgent(agentOptions);

  return {
    async handle(url, step, request, response) {
      const gone = new AbortController();
      response.once('close', () => gone.abort());
      const credential = await control.readCredential(url, gone.signal);
      if (gone.signal.aborted) return;
      const target = new URL(`${url}${step === 'advertise' ? '/info/refs?service=git-upload-pack' : '/git-upload-pack'}`);
      const secure = target.protocol === 'https:';
      const outgoing = (secure ? httpsRequest : httpRequest)(target, {
        method: step === 'advertise' ? 'GET' : 'POST',
        agent: secure ? httpsAgent : httpAgent,
        headers: upstreamHeaders(request, credential),
      });
      let settled = false;
      const fail = (status: number, message: string): void => {
        if (settled) return;
        settled = true;
        outgoing.destroy();
        answerText(request, response, status, message);
      };
      gone.signal.addEventListener('abort', () => outgoing.destroy(), { once: true });
      outgoing.setTimeout(answerTimeoutMs, () => fail(504, 'the host of the repository does not answer'));
      outgoing.on('error', (error) => {
        logger.debug({ host: target.host, cause: error.message }, 'git fetch failed');
        fail(502, 'the host of the repository cannot be reached');
      });
      outgoing.once('response', (answer) => {
        const status = answer.statusCode ?? 502;
        const type = `application/x-git-upload-pack-${step === 'advertise' ? 'advertisement' : 'result'}`;
        if (status !== 200 || answer.headers['content-type'] !== type) {
          answer.resume();
          return fail(...refusal(status, credential !== null));
        }
        settled = true;
        response.writeHead(200, responseHeadersFor(answer.headers));
        // Head and body in one vectored write come out mangled at the far end of an HTTP/2 stream (Node 24.21).
        response.flushHeaders();
        return void pipeline(answer, response, () => outgoing.destroy());
      });
      if (step === 'advertise') return void outgoing.end();
      pipeline(request, limitBytes(maxRequestBytes), outgoing, (error) => {
        if (error instanceof BodyTooLarge) fail(413, 'the request is larger than any fetch needs');
      });
    },
    close() {
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

function upstreamHeaders(request: IncomingMessage, credential: { username: string; password: string } | null): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const name of headersToUpstream) {
    const value = request.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  const version = request.headers['git-protocol'];
  if (typeof version === 'string' && /^version=[0-2]$/.test(version)) headers['git-protocol'] = version;
  if (credential !== null) {
    headers['authorization'] = `Basic ${Buffer.from(`${credential.username}:${credential.password}`).toString('base64')}`;
  }
  return headers;
}

function refusal(status: number, hasCredential: boolean): [number, string] {
  const how = hasCredential ? 'with the credential that Berth has for it' : 'without a credential, for Berth has none';
  if (status === 401 || status === 403) return [403, `the repository may not be read ${how}`];
  if (status === 404 || status === 410) return [404, `there is no repository at this address, seen ${how}`];
  if (status >= 300 && status < 400) return [502, 'the repository has moved: its address answers with a redirect'];
  return [502, `the host of the repository answered HTTP ${status}`];
}
