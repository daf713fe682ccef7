import type { IncomingMessage } from 'node:http';

/** `berth`, and `berth.token.<token>`: for us, not for a server inside. */
const isOwn = (protocol: string) => protocol === 'berth' || protocol.startsWith('berth.token.');

/** What the caller offers to the server inside. */
export function offeredProtocols(headers: Headers): string[] {
  const offered = (headers.get('sec-websocket-protocol') ?? '').split(',').map((each) => each.trim());
  return offered.filter((each) => each !== '' && !isOwn(each));
}

/** Chosen by a server inside, for the handshake that comes after. */
const chosen = new WeakMap<IncomingMessage, string>();

export function chooseProtocol(request: IncomingMessage, protocol: string | null): void {
  if (protocol !== null) chosen.set(request, protocol);
}

/** Browsers need one of the offered protocols back; never the one that carries the token. */
export function answerProtocol(offered: ReadonlySet<string>, request: IncomingMessage): string | false {
  const protocol = chosen.get(request);
  if (protocol !== undefined && offered.has(protocol)) return protocol;
  return offered.has('berth') ? 'berth' : false;
}
