import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useSyncExternalStore } from 'react';
import type { SessionStatus } from '../../../src/sdk/index.ts';
import { sessionsQuery } from '../queries.ts';
import { titleOf } from '../sessions/title.ts';

const listeners = new Set<() => void>();
const supported = 'Notification' in window;

export function useNotificationState(): NotificationPermission {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => (supported ? Notification.permission : 'denied'),
  );
}

export async function askForNotifications(): Promise<void> {
  await Notification.requestPermission();
  for (const listener of listeners) listener();
}

const busy: readonly SessionStatus[] = ['creating', 'queued', 'running', 'asking'];

/** Tells about sessions that began to ask, or came to an end, while the person looks elsewhere. */
export function useNotifications(open: (sessionId: string) => void): void {
  const granted = useNotificationState() === 'granted';
  // A page out of sight does not look again by itself, and that is when a person wants to be told.
  const sessions = useQuery({ ...sessionsQuery, refetchIntervalInBackground: granted });
  const before = useRef<Map<string, SessionStatus> | null>(null);
  useEffect(() => {
    if (sessions.data === undefined) return;
    const known = before.current;
    before.current = new Map(sessions.data.map((session) => [session.id, session.status]));
    if (known === null || !granted || document.hasFocus()) return;
    for (const session of sessions.data) {
      const was = known.get(session.id);
      if (was === undefined || was === session.status) continue;
      const asks = session.status === 'asking';
      const ended = busy.includes(was) && (session.status === 'idle' || session.status === 'failed');
      if (!asks && !ended) continue;
      const body = asks ? 'waits for your answer' : session.status === 'failed' ? 'failed' : 'is done';
      const shown = new Notification(titleOf(session), { body, tag: session.id });
      shown.addEventListener('click', () => {
        window.focus();
        open(session.id);
      });
    }
  }, [sessions.data, open, granted]);
}
