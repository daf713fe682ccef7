import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { sessionsQuery } from '../queries.ts';
import { titleOf } from './title.ts';

/** A session by its name; by its id when it is not among the recent ones. */
export function SessionLink({ sessionId }: { sessionId: string }) {
  const sessions = useQuery(sessionsQuery);
  const session = sessions.data?.find((each) => each.id === sessionId);
  return (
    <Link
      to="/sessions/$sessionId"
      params={{ sessionId }}
      className="font-medium text-accent underline-offset-2 hover:underline"
    >
      {session === undefined ? <span className="font-mono text-[0.85em]">{sessionId}</span> : titleOf(session)}
    </Link>
  );
}
