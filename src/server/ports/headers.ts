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
  /** Set where the page has an origin to itself: cookies go both ways, but for this one of Berth's. */
  ownOrigin?: { cookieName: string };
}

/** The request's headers as the server inside sees them: no credentials, and its own name as the host. */
export function requestHeaders(given: Headers, { prefix, port, ownOrigin }: PortAddress, url: URL): Record<string, string> {
  const kept = ownOrigin === undefined ? {} : ownCredentials(given, ownOrigin.cookieName);
  const dropped = new Set([...hopByHop, ...credentials, ...namedByConnection(given.get('connection')), 'host']);
  const headers: Record<string, string> = {};
  for (const [name, value] of given) {
    if (!dropped.has(name) && !name.startsWith('sec-websocket-')) headers[name] = value;
  }
  return {
    ...headers,
    ...kept,
    host: `localhost:${port}`,
    'x-forwarded-host': url.host,
    'x-forwarded-proto': url.protocol.replace(':', ''),
    ...(prefix === '' ? {} : { 'x-forwarded-prefix': prefix }),
  };
}

/** What the page's own server gave it; Berth's tokens and its cookie are not among that. */
function ownCredentials(given: Headers, cookieName: string): Record<string, string> {
  const cookies = (given.get('cookie') ?? '').split(';').map((each) => each.trim());
  const cookie = cookies.filter((each) => each !== '' && each.split('=')[0] !== cookieName).join('; ');
  const authorization = given.get('authorization') ?? '';
  return {
    ...(cookie === '' ? {} : { cookie }),
    ...(authorization === '' || authorization.includes('brth_') ? {} : { authorization }),
  };
}

/**
 * What the page's own browser origin must not have: hostile code answers on the same host as Berth's API. As a
 * sandboxed document it has an origin of its own, to which no cookie of Berth is sent, and it sets none.
 */
const isolation = 'sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads';
const refused = ['set-cookie', 'clear-site-data', 'strict-transport-security', 'service-worker-allowed', 'alt-svc'];
/** With an origin to itself; what these say holds for more than that, or for Berth's cookie. */
const refusedOfOwn = ['clear-site-data', 'strict-transport-security', 'alt-svc'];

/** The answer's headers as the caller sees them, from Node's raw list; redirects stay below the port's address. */
export function responseHeaders(raw: readonly string[], address: PortAddress): Headers {
  const all: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) all.push([raw[at]!.toLowerCase(), raw[at + 1]!]);
  const connection = all.filter(([name]) => name === 'connection').map(([, value]) => value);
  const { ownOrigin } = address;
  const dropped = new Set([...hopByHop, ...(ownOrigin === undefined ? refused : refusedOfOwn), ...connection.flatMap(namedByConnection)]);
  const headers = new Headers();
  for (const [name, value] of all) {
    if (dropped.has(name)) continue;
    if (name !== 'set-cookie') headers.append(name, name === 'location' ? relocate(value, address) : value);
    else if (value.split('=')[0]?.trim() !== ownOrigin?.cookieName) headers.append(name, confined(value));
  }
  if (ownOrigin !== undefined) return headers;
  // Beside one that the page has: the browser obeys both.
  headers.append('content-security-policy', isolation);
  headers.set('referrer-policy', 'no-referrer');
  return headers;
}

/** A cookie for the page's own host: one for the domain above would reach its neighbours. */
function confined(cookie: string): string {
  return cookie
    .split(';')
    .filter((part, at) => at === 0 || !/^\s*domain\s*(?:=|$)/i.test(part))
    .join(';');
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
