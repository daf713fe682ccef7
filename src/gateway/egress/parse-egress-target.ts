import { isIPv4, isIPv6 } from 'node:net';
import type { EgressTarget } from '../../core/egress/judge-egress.ts';

const hostName = /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * The `host:port` of a CONNECT, or `null` for anything else. Strict: numbers that some resolvers take for addresses
 * (`127.1`, `0x7f.1`, `2130706433`) are none, and neither is a name with a trailing dot, escapes or credentials.
 */
export function parseAuthority(authority: string): EgressTarget | null {
  const [, bracketed, plain, portText] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]@/?#\s]+)):([1-9][0-9]{0,4})$/.exec(authority) ?? [];
  const host = parseHost(bracketed, plain);
  const port = Number(portText);
  return host === null || port > 65_535 ? null : { host, port };
}

export interface ProxiedUrl {
  to: EgressTarget;
  path: string;
  authority: string;
}

/** The target of a proxied `http://` request and what is asked of it, or `null`. */
export function parseProxiedUrl(target: string): ProxiedUrl | null {
  const [, authority, path = ''] = /^http:\/\/([^/?#\s]+)([/?][^#\s]*)?$/i.exec(target) ?? [];
  if (authority === undefined) return null;
  const to = parseAuthority(/:[0-9]+$/.test(authority) ? authority : `${authority}:80`);
  if (to === null) return null;
  return { to, path: path.startsWith('/') ? path : `/${path}`, authority: authority.toLowerCase() };
}

function parseHost(bracketed: string | undefined, plain: string | undefined): string | null {
  if (bracketed !== undefined) return isIPv6(bracketed) ? bracketed.toLowerCase() : null;
  const host = plain?.toLowerCase();
  if (host === undefined || isIPv4(host)) return host ?? null;
  // A last label of digits is an address to whoever reads it loosely.
  if (!hostName.test(host) || /(?:^|\.)(?:0x[0-9a-f]*|[0-9]+)$/.test(host)) return null;
  return host;
}
