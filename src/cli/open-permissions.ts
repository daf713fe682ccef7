import { BerthError, type BerthClient, type SessionEvent } from '../sdk/index.ts';
import { usageError } from './failure.ts';
import { sanitizeLine } from './render/sanitize.ts';

export type PermissionRequest = Extract<SessionEvent, { type: 'permission.requested' }>['data'];

/** The requests of a session that nobody has answered, oldest first, by its log. */
async function openPermissions(client: BerthClient, sessionId: string): Promise<PermissionRequest[]> {
  const open = new Map<string, PermissionRequest>();
  for await (const event of client.sessions.log(sessionId)) {
    if (event.type === 'permission.requested' && event.data.answeredBy === undefined) open.set(event.data.requestId, event.data);
    else if (event.type === 'permission.resolved') open.delete(event.data.requestId);
  }
  return [...open.values()];
}

/** The named request, or the only open one; with several the caller must name one. Throws `not_found`. */
export async function findPermission(
  client: BerthClient,
  sessionId: string,
  requestId: string | undefined,
): Promise<PermissionRequest> {
  const open = await openPermissions(client, sessionId);
  const found = requestId === undefined ? open[0] : open.find((each) => each.requestId === requestId);
  if (found === undefined) {
    throw new BerthError(
      'not_found',
      requestId === undefined ? 'nothing is being asked' : `no open request ${requestId}`,
    );
  }
  if (requestId === undefined && open.length > 1) {
    const list = open.map((each) => `${each.requestId} (${requestTitle(each)})`);
    throw usageError(`several requests are open, name one: ${list.join(', ')}`, 'request');
  }
  return found;
}

/** What the agent wants to do, in its own words made safe; else the request's id. */
export function requestTitle({ toolCall, requestId }: PermissionRequest): string {
  return sanitizeLine(typeof toolCall['title'] === 'string' ? toolCall['title'] : requestId);
}
