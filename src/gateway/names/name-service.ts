import { buffer } from 'node:stream/consumers';
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as packet from 'dns-packet';
import type { EgressControl } from '../../core/ports/egress.ts';
import { isReachable } from '../../core/private-addresses.ts';
import { namesPath } from '../../protocol/runner-api.ts';
import { limitBytes } from '../limit-bytes.ts';
import { knownTypes, type KnownType, type Lookup } from './lookup.ts';

/**
 * Names for sandboxes with a full network, asked for by DNS over HTTP (RFC 8484, POST alone) on the session's own channel. Others are
 * refused: they need none. An answer with a private address is withheld whole and the refusal recorded, as the
 * proxy does: what the firewall would stop is not even told, and no name leads back into the host's network.
 */
export interface NameService {
  /** False for another target. */
  handle(sessionId: string, request: IncomingMessage, response: ServerResponse): boolean;
}

export interface NameServiceOptions {
  control: Pick<EgressControl, 'hasFullNetwork' | 'record'>;
  lookup: Lookup;
  /** For tests and development, as of the proxy. */
  allowLoopback: boolean;
}

/** One question with its options; a name has at most 255. */
const maxQueryBytes = 1024;
/** Answers that one session waits for; more are refused at once. */
const maxWaiting = 32;
const dnsPort = 53;
/** Zero for a question; else an update, a notification or worse. */
const opcodeBits = 0x7800;
const [serverFailure, noSuchName, notImplemented, refused] = [2, 3, 4, 5];

export function createNameService({ control, lookup, allowLoopback }: NameServiceOptions): NameService {
  const waiting = new Map<string, number>();

  async function answer(sessionId: string, query: packet.DecodedPacket): Promise<Buffer> {
    const [question] = query.questions ?? [];
    const respond = (rcode: number, answers: packet.Answer[] = []) =>
      packet.encode({
        type: 'response',
        id: query.id ?? 0,
        flags: packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | rcode,
        questions: question === undefined ? [] : [question],
        answers,
      });
    if (query.type !== 'query' || ((query.flags ?? 0) & opcodeBits) !== 0 || question === undefined || query.questions?.length !== 1) return respond(notImplemented);
    if (!(await control.hasFullNetwork(sessionId))) return respond(refused);
    // Kinds that nobody needs for a connection have no records: programs go on with those that they need too.
    if (!isKnown(question.type)) return respond(0);
    try {
      const answers = await lookup(question.name, question.type);
      if (answers.every((each) => !isAddress(each) || isReachable(each.data, { allowLoopback }))) return respond(0, answers);
      const host = question.name.toLowerCase();
      control.record(sessionId, { host, port: dnsPort }, { allowed: false, reason: 'the name has an address that is not public' });
      return respond(noSuchName);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENODATA') return respond(0);
      return respond(code === 'ENOTFOUND' ? noSuchName : serverFailure);
    }
  }

  async function serve(sessionId: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const fail = (status: number): void => {
      request.resume();
      response.writeHead(status, { connection: 'close' }).end();
    };
    if (request.method !== 'POST' || request.headers['content-type'] !== 'application/dns-message') return fail(400);
    const count = waiting.get(sessionId) ?? 0;
    if (count >= maxWaiting) return fail(429);
    waiting.set(sessionId, count + 1);
    try {
      const query = parse(await buffer(request.pipe(limitBytes(maxQueryBytes))));
      if (query === null) return fail(400);
      const body = await answer(sessionId, query);
      response.writeHead(200, { 'content-type': 'application/dns-message', 'content-length': body.length });
      response.flushHeaders();
      response.end(body);
    } catch {
      if (response.headersSent) response.destroy();
      else fail(400);
    } finally {
      const left = (waiting.get(sessionId) ?? 1) - 1;
      if (left > 0) waiting.set(sessionId, left);
      else waiting.delete(sessionId);
    }
  }

  return {
    handle(sessionId, request, response) {
      if (request.url !== namesPath) return false;
      void serve(sessionId, request, response);
      return true;
    },
  };
}

function isKnown(type: string): type is KnownType {
  return (knownTypes as readonly string[]).includes(type);
}

function isAddress(answer: packet.Answer): answer is packet.StringAnswer {
  return answer.type === 'A' || answer.type === 'AAAA';
}

/** `null` for what is no message. */
function parse(bytes: Buffer): packet.DecodedPacket | null {
  try {
    return packet.decode(bytes);
  } catch {
    return null;
  }
}
