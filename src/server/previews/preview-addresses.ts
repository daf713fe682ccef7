import { BerthError } from '../../protocol/errors.ts';
import { isId } from '../../protocol/ids.ts';

export interface PreviewSettings {
  /** Where browsers reach the previews' listener, without a slash at its end. */
  baseUrl: () => string;
  /** Each preview has a host of its own below it; `null`: all share the listener's, by path. */
  domain: string | null;
}

/** Parameter of a link, taken away before anything is asked inside. */
export const linkParameter = 'berth_preview';
export const addressPath = /^\/p\/([A-Za-z0-9_.-]{1,2000})(\/.*)?$/;

const label = /^([1-9][0-9]{0,4})-([0-9a-z]{26})$/;

/**
 * `<port>-<session>.<domain>`. The session names it and not its sandbox, which may be replaced; its prefix is left away,
 * for a host name has no underscore.
 */
export function previewHost(domain: string, sessionId: string, port: number): string {
  if (!isId('session', sessionId)) throw new BerthError('invalid_request', 'this is no id of a session', { field: 'id' });
  return `${port}-${sessionId.slice(sessionId.indexOf('_') + 1)}.${domain}`;
}

/** The session and port that a host name stands for, or `null`. `host` may have a port. */
export function parsePreviewHost(domain: string, host: string): { sessionId: string; port: number } | null {
  const name = host.toLowerCase().replace(/:[0-9]+$/, '');
  if (!name.endsWith(`.${domain}`)) return null;
  const [, port, id] = label.exec(name.slice(0, -domain.length - 1)) ?? [];
  if (port === undefined || id === undefined || Number(port) > 65_535) return null;
  return { sessionId: `ses_${id}`, port: Number(port) };
}

/** A preview's own address, by host. */
export function hostUrl({ baseUrl, domain }: PreviewSettings, sessionId: string, port: number): URL | null {
  if (domain === null) return null;
  const url = new URL(baseUrl());
  url.hostname = previewHost(domain, sessionId, port);
  return url;
}
