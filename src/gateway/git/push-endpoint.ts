import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { GitControl, GitRef, PushGrant } from '../../core/ports/git-control.ts';
import type { Logger } from '../../core/ports/logger.ts';
import { BerthError } from '../../protocol/errors.ts';
import { limitBytes } from '../limit-bytes.ts';
import { answerText } from './answer-text.ts';
import { createPktReader, flushPkt, MalformedGit, pktLine } from './pkt-line.ts';
import { isDeletion, parsePushCommands, type PushCommands } from './push-commands.ts';
import { encodeProgress, encodeReport, type PushReport } from './push-report.ts';

/**
 * The receiving end of a sandbox's push. Berth ends the protocol here: what is asked for is read, judged, and where it
 * is an advance of the session's own branch, carried out by the host's git like every push of Berth's. Nothing that a
 * sandbox writes goes to the forge as it is.
 */
export interface PushEndpoint {
  advertise(grant: PushGrant, request: IncomingMessage, response: ServerResponse): Promise<void>;
  receive(sessionId: string, grant: PushGrant, request: IncomingMessage, response: ServerResponse): Promise<void>;
}

/**
 * What a client may ask for. `delete-refs` is there although nothing is deleted: without it git refuses by itself, with
 * no word why. `push-options` and `atomic` are not, and git says so.
 */
const capabilities = 'report-status side-band-64k quiet delete-refs ofs-delta object-format=sha1 agent=berth';
const limits = { maxLines: 64, maxBytes: 128 * 1024 };
/** Of all that a push sends; the pack has a limit of its own where it is taken in. */
const maxRequestBytes = 4 * 1024 ** 3;
const pushTimeoutMs = 15 * 60_000;
const zeroId = '0'.repeat(40);
const requestType = 'application/x-git-receive-pack-request';

export function createPushEndpoint({ control, logger }: { control: GitControl; logger: Logger }): PushEndpoint {
  /** One at a time for each session: a push holds its pack on the host's disk. */
  const pushing = new Set<string>();

  return {
    async advertise(grant, request, response) {
      const signal = AbortSignal.any([goneSignal(response), AbortSignal.timeout(pushTimeoutMs)]);
      let refs: readonly GitRef[];
      try {
        refs = await control.refs(grant.url, signal);
      } catch (error) {
        return answerText(request, response, 502, sayable(error));
      }
      answer(response, 'application/x-git-receive-pack-advertisement', advertisement(refs));
      response.end();
    },

    async receive(sessionId, grant, request, response) {
      if (request.headers['content-type'] !== requestType) return answerText(request, response, 415, `a push is sent as ${requestType}`);
      if (pushing.has(sessionId)) return answerText(request, response, 429, 'another push of this session is under way');
      pushing.add(sessionId);
      try {
        const signal = AbortSignal.any([goneSignal(response), AbortSignal.timeout(pushTimeoutMs)]);
        await take(sessionId, grant, request, response, signal);
      } catch (error) {
        if (error instanceof MalformedGit) return answerText(request, response, 400, error.message);
        logger.warn({ sessionId, err: error }, 'a push broke off');
        answerText(request, response, 500, 'the push could not be taken');
      } finally {
        pushing.delete(sessionId);
      }
    },
  };

  async function take(
    sessionId: string,
    grant: PushGrant,
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const body = createPktReader(bodyOf(request));
    const lines = await body.list(limits);
    // A lone flush is how git tries whether it may push, before it sends a large body.
    if (lines === null || lines.length === 0) return void answer(response, resultType, Buffer.alloc(0)).end();
    const push = parsePushCommands(lines);
    const report = await carryOut(sessionId, grant, push, body.rest(), signal, (line) => {
      if (!response.headersSent) answer(response, resultType, Buffer.alloc(0));
      response.write(encodeProgress(line, push.capabilities));
    });
    await drained(body.rest());
    if (!response.headersSent) answer(response, resultType, Buffer.alloc(0));
    response.end(encodeReport(report, push.capabilities));
  }

  async function carryOut(
    sessionId: string,
    grant: PushGrant,
    { commands, capabilities: asked }: PushCommands,
    pack: AsyncIterable<Buffer>,
    signal: AbortSignal,
    onLine: (line: string) => void,
  ): Promise<PushReport> {
    const ref = `refs/heads/${grant.branch}`;
    const refusals = commands.map((command) => {
      if (command.ref !== ref) return `Berth: this session may push to ${grant.branch} only`;
      if (isDeletion(command)) return 'Berth: a session may not delete its branch on the remote';
      if (asked.has('push-options') || asked.has('atomic')) return 'Berth: the push asks for what was not offered';
      return null;
    });
    const [command] = commands;
    if (refusals.some((refusal) => refusal !== null) || command === undefined) {
      const refs = commands.map((each, at) => ({ ref: each.ref, failure: refusals[at] ?? 'Berth: nothing is pushed when part of it may not be' }));
      logger.info({ sessionId, refs: refs.map((each) => each.ref) }, 'push refused');
      await control.refused(sessionId, { refs: refs.map((each) => each.ref), reason: withoutName(refusals.find((refusal) => refusal !== null) ?? 'it names no ref') });
      return { unpackFailure: null, refs };
    }
    try {
      await control.push(sessionId, grant, command.newId, pack, onLine, signal);
      return { unpackFailure: null, refs: [{ ref, failure: null }] };
    } catch (error) {
      logger.info({ sessionId, err: error }, 'push failed');
      const reason = sayable(error);
      if (!signal.aborted) await control.refused(sessionId, { refs: [ref], reason });
      return { unpackFailure: null, refs: [{ ref, failure: `Berth: ${reason}` }] };
    }
  }
}

function withoutName(refusal: string): string {
  return refusal.replace(/^Berth: /, '');
}

const resultType = 'application/x-git-receive-pack-result';

/** Unpacked where it was sent compressed; at most so much of it. */
async function* bodyOf(request: IncomingMessage): AsyncGenerator<Buffer> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  const limited = limitBytes(maxRequestBytes);
  const ignore = (): void => undefined;
  if (encoding === 'identity') pipeline(request, limited, ignore);
  else if (encoding === 'gzip' || encoding === 'x-gzip') pipeline(request, createGunzip(), limited, ignore);
  else throw new MalformedGit('the request is compressed in a way that is not known here');
  try {
    for await (const chunk of limited) yield chunk as Buffer;
  } catch (cause) {
    throw new MalformedGit('the request is too large, broken off, or not compressed as it says', { cause });
  }
}

function advertisement(refs: readonly GitRef[]): Buffer {
  const lines = refs.length === 0 ? [{ sha: zeroId, name: 'capabilities^{}' }] : refs;
  return Buffer.concat([
    pktLine('# service=git-receive-pack\n'),
    flushPkt,
    ...lines.map(({ sha, name }, at) => pktLine(`${sha} ${name}${at === 0 ? `\0${capabilities}` : ''}\n`)),
    flushPkt,
  ]);
}

function answer(response: ServerResponse, type: string, body: Buffer): ServerResponse {
  response.writeHead(200, { 'content-type': type, 'cache-control': 'no-cache' });
  // Head and body in one vectored write come out mangled at the far end of an HTTP/2 stream (Node 24.21).
  response.flushHeaders();
  if (body.length > 0) response.write(body);
  return response;
}

/** So that the client, which sends everything before it listens, gets to the answer. */
async function drained(rest: AsyncIterable<Buffer>): Promise<void> {
  for await (const _chunk of rest);
}

/** Of a failure, what an agent may read. */
function sayable(error: unknown): string {
  if (error instanceof BerthError && error.code !== 'internal') return error.message;
  if (error instanceof MalformedGit) return error.message;
  return 'the push could not be carried out';
}

function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}
