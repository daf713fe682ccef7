import { useQuery } from '@tanstack/react-query';
import type { SessionPermission } from '../../../src/sdk/index.ts';
import { accessQuery } from '../queries.ts';

/**
 * Tells what may be done with a session, so that nothing is offered that the server would refuse. As long as it is not known,
 * everything: most sessions that are looked at are one's own, and the server decides.
 */
export function useMay(sessionId: string): (permission: SessionPermission) => boolean {
  const { data } = useQuery(accessQuery(sessionId));
  return (permission) => data?.includes(permission) ?? true;
}
