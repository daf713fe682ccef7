import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/** RFC 9110, 7.6.1: meaningful to one connection only. */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** A sandbox may neither send a credential of its own nor speak about where a request came from. */
const notToUpstream = new Set([
  ...hopByHop,
  'host',
  'expect',
  'authorization',
  'x-api-key',
  'api-key',
  'x-goog-api-key',
  'cookie',
  'forwarded',
  'via',
  'x-real-ip',
]);

/** Cookies and alternative routes of the upstream's are no business of a sandbox. */
const notToClient = new Set([...hopByHop, 'set-cookie', 'alt-svc', 'strict-transport-security', 'public-key-pins']);

/** All that is not about one connection alone. */
export function withoutHopByHop(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return keep(headers, (name) => !hopByHop.includes(name));
}

export function requestHeadersFor(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return keep(headers, (name) => !notToUpstream.has(name) && !name.startsWith('x-forwarded-'));
}

export function responseHeadersFor(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return keep(headers, (name) => !notToClient.has(name));
}

function keep(headers: IncomingHttpHeaders, wanted: (name: string) => boolean): OutgoingHttpHeaders {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
  const out: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && wanted(name) && !named.has(name)) out[name] = value;
  }
  return out;
}
