import { upgradeWebSocket } from '@hono/node-server';
import type { MiddlewareHandler } from 'hono';
import type { StoreReads } from '../../core/ports/store.ts';
import type { Principal } from '../../core/users/principal.ts';
import { BerthError, fromErrorBody } from '../../protocol/errors.ts';
import type { AppEnv } from '../context.ts';
import { forwardRequest } from './forward-request.ts';
import { joinSockets, openAtOwner } from './forward-socket.ts';
import { ownerOf, type Owner } from './owner.ts';
import { checkForwarded, forwardedHeader, signForwarded } from './signature.ts';

export interface ForwardingOptions {
  reads: Pick<StoreReads, 'session' | 'snapshot' | 'snapshots' | 'hosts'>;
  hostId: string;
  /** The same in all servers of the installation, and known to nobody else. */
  secret: Buffer;
  now: () => Date;
}

/**
 * Requests for a session whose sandbox is on another host go to the server there, with the caller's token signed for, by its digest: the server there looks at it again. One
 * that was forwarded is not forwarded again: a sandbox that has moved meanwhile is a refusal, not a circle.
 */
export interface Forwarding {
  /** Takes what another server forwarded as its caller's own. Before the policy. */
  accept: MiddlewareHandler<AppEnv>;
  /** Sends on what this server cannot serve. After it. */
  forward: MiddlewareHandler<AppEnv>;
  /** Sends a call on that did not come as a request. False when this server can serve it. */
  call(
    sessionId: string,
    tokenHash: string,
    method: string,
    path: string,
    body: unknown,
  ): Promise<{ result: unknown } | false>;
}

/** What every server answers from the store; all else of a session needs its sandbox. */
const answeredAnywhere = /^\/api\/sessions\/[^/]+(?:\/(?:turns(?:\/[^/]+)?|log|events|stream|shares(?:\/[^/]+\/[^/]+)?))?$/;
const sessionPath = /^\/api\/sessions\/([^/]+)/;
const snapshotPath = /^\/api\/snapshots\/([^/]+)/;

export function createForwarding({ reads, hostId, secret, now }: ForwardingOptions): Forwarding {
  const proof = (owner: Owner, tokenHash: string, method: string, path: string): Record<string, string> => ({
    [forwardedHeader]: signForwarded(
      secret,
      { from: hostId, to: owner.hostId, tokenHash },
      { method, path },
      now().getTime(),
    ),
  });

  /** The host of the sandbox or the snapshot that a request cannot do without; `null`: it has none, or needs none. */
  async function neededHost(method: string, path: string, user: string): Promise<string | null> {
    const sessionId = sessionPath.exec(path)?.[1];
    if (sessionId !== undefined) {
      if (answeredAnywhere.test(path) && (method !== 'DELETE' || path.includes('/shares/'))) return null;
      return (await reads.session(sessionId))?.hostId ?? null;
    }
    const snapshot = snapshotPath.exec(path)?.[1];
    if (snapshot === undefined || method === 'GET') return null;
    const name = decoded(snapshot);
    const found = (await reads.snapshot(name)) ?? (await reads.snapshots({ owner: user, name }))[0];
    return found?.hostId ?? null;
  }

  return {
    async accept(c, next) {
      const header = c.req.header(forwardedHeader);
      if (header !== undefined) {
        const request = { method: c.req.method, path: pathOf(c.req.url) };
        const { tokenHash, from } = checkForwarded(secret, hostId, header, request, now().getTime());
        c.set('forwarded', { from, tokenHash });
      }
      await next();
    },

    async forward(c, next) {
      const { method } = c.req;
      const identity = c.get('identity') as Principal | undefined;
      // What needs no token needs no sandbox either.
      if (identity === undefined) return next();
      const owner = await ownerOf(reads, hostId, await neededHost(method, c.req.path, identity.user));
      if (owner === null) return next();
      if (c.get('forwarded') !== undefined) {
        throw new BerthError('unavailable', `what this needs has moved to host ${owner.hostId}`, {
          context: { hostId: owner.hostId },
        });
      }
      const path = pathOf(c.req.url);
      const headers = proof(owner, c.get('tokenHash'), method, path);
      if (c.req.header('upgrade')?.toLowerCase() !== 'websocket')
        return forwardRequest(owner, path, c.req.raw, headers);
      const socket = await openAtOwner(owner, path, headers);
      return (await upgradeWebSocket(() => joinSockets(socket))(c, next)) ?? undefined;
    },

    async call(sessionId, tokenHash, method, path, body) {
      const owner = await ownerOf(reads, hostId, (await reads.session(sessionId))?.hostId ?? null);
      if (owner === null) return false;
      const request = new Request(new URL(path, owner.address), {
        method,
        headers: { 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body), duplex: 'half' }),
      } as RequestInit);
      const answer = await forwardRequest(owner, path, request, proof(owner, tokenHash, method, path));
      const result: unknown = answer.status === 204 ? null : await answer.json().catch(() => null);
      if (!answer.ok) throw fromErrorBody(result, answer.status);
      return { result };
    },
  };
}

/** As it stands where it is not well-formed; the route then says what it thinks of it. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function pathOf(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
}
