/** Headers of one connection, not of the message (RFC 9110, 7.6.1). */
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

/** What says who the caller is, to Berth and to nobody else. */
const credentials = ['authorization', 'cookie'];

/** Where a request to a port stands in Berth's own address space. */
export interface PortAddress {
  /** `/api/sessions/<id>/ports/<port>`, without a slash at its end. */
  prefix: string;
  port: number;
}

/** The request's headers as the server inside sees them: no credentials, and its own name as the host. */
export function requestHeaders(given: Headers, { prefix, port }: PortAddress, url: URL): Record<string, string> {
  const dropped = new Set([...hopByHop, ...credentials, ...namedByConnection(given.get('connection')), 'host']);
  const headers: Record<string, string> = {};
  for (const [name, value] of given) {
    if (!dropped.has(name) && !name.startsWith('sec-websocket-')) headers[name] = value;
  }
  return {
    ...headers,
    host: `localhost:${port}`,
    'x-forwarded-host': url.host,
    'x-forwarded-proto': url.protocol.replace(':', ''),
    'x-forwarded-prefix': prefix,
  };
}

/**
 * What the page's own browser origin must not have: hostile code answers on the same host as Berth's API. As a
 * sandboxed document it has an origin of its own, to which no cookie of Berth is sent, and it sets none.
 */
const isolation = 'sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads';
const refused = ['set-cookie', 'clear-site-data', 'strict-transport-security', 'service-worker-allowed', 'alt-svc'];

/** The answer's headers as the caller sees them, from Node's raw list; redirects stay below the port's address. */
export function responseHeaders(raw: readonly string[], address: PortAddress): Headers {
  const all: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) all.push([raw[at]!.toLowerCase(), raw[at + 1]!]);
  const connection = all.filter(([name]) => name === 'connection').map(([, value]) => value);
  const dropped = new Set([...hopByHop, ...refused, ...connection.flatMap(namedByConnection)]);
  const headers = new Headers();
  for (const [name, value] of all) {
    if (!dropped.has(name)) headers.append(name, name === 'location' ? relocate(value, address) : value);
  }
  // Beside one that the page has: the browser obeys both.
  headers.append('content-security-policy', isolation);
  headers.set('referrer-policy', 'no-referrer');
  return headers;
}

function namedByConnection(value: string | null): string[] {
  return (value ?? '').split(',').map((name) => name.trim().toLowerCase());
}

/** A redirect within the server inside, seen from outside. */
function relocate(location: string, { prefix, port }: PortAddress): string {
  if (location.startsWith('/') && !location.startsWith('//')) return prefix + location;
  if (!URL.canParse(location)) return location;
  const url = new URL(location);
  const inside = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname) && url.port === String(port);
  return inside ? prefix + url.pathname + url.search + url.hash : location;
}
