import { createHmac, timingSafeEqual } from 'node:crypto';
import { BerthError } from '../../protocol/errors.ts';

/** Says that a server of the same installation has let a request in, and by which token. */
export const forwardedHeader = 'berth-forwarded';

/** What is forwarded is under way for less than this; servers' clocks may differ by as much. */
const validMs = 60_000;

export interface Forwarded {
  /** The host whose server let it in. */
  from: string;
  /** The host that it is for. */
  to: string;
  /** The digest of the caller's token; worth nothing without the signature. */
  tokenHash: string;
}

export interface ForwardedRequest {
  method: string;
  /** With its query. */
  path: string;
}

/** The header's value: who, when, and a signature over that and the request, by a key that only the installation's servers have. */
export function signForwarded(secret: Buffer, forwarded: Forwarded, request: ForwardedRequest, nowMs: number): string {
  const { from, to } = forwarded;
    return [from, to, String(nowMs), forwarded.tokenHash, signature(secret, forwarded, request, nowMs)].join(' ');
}

/** Throws `unauthorized` for what no server of this installation signed, for this host, just now. */
export function checkForwarded(
  secret: Buffer,
  ownHostId: string,
  header: string,
  request: ForwardedRequest,
  nowMs: number,
): Forwarded {
  const [from = '', to = '', at = '', tokenHash = '', given = ''] = header.split(' ');
  const forwarded = { from, to, tokenHash };
  const expected = Buffer.from(signature(secret, forwarded, request, Number(at)));
  const isSigned = expected.length === given.length && timingSafeEqual(expected, Buffer.from(given));
  if (!isSigned || to !== ownHostId || !(Math.abs(nowMs - Number(at)) <= validMs)) {
    throw new BerthError('unauthorized', 'the request was not forwarded by a server of this installation just now', {
      field: forwardedHeader,
    });
  }
  return forwarded;
}

function signature(
  secret: Buffer,
  { from, to, tokenHash }: Forwarded,
  { method, path }: ForwardedRequest,
  atMs: number,
): string {
  // JSON, so that no field can reach into the next.
  return createHmac('sha256', secret)
    .update(JSON.stringify([from, to, tokenHash, method, path, atMs]))
    .digest('base64url');
}
