import { useSyncExternalStore } from 'react';
import { messageOf } from '../api.ts';
import { classNames } from './class-names.ts';

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const shownMs = 6_000;
const listeners = new Set<() => void>();
let toasts: readonly Toast[] = [];
let nextId = 1;

function change(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

/** Says something beside the page for a few seconds. */
export function toast(text: string, bad = false): void {
  const id = nextId++;
  change([...toasts.slice(-3), { id, text, bad }]);
  setTimeout(() => change(toasts.filter((each) => each.id !== id)), shownMs);
}

/** For `.catch`: what failed and why. */
export function toastFailure(what: string): (error: unknown) => void {
  return (error) => toast(`${what}: ${messageOf(error)}`, true);
}

export function Toasts() {
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
  return (
    <div
      role="status"
      aria-live="polite"
      className="pointer-events-none fixed right-4 bottom-4 z-50 max-md:top-16 max-md:bottom-auto flex w-[min(24rem,calc(100vw-2rem))] flex-col gap-2"
    >
      {shown.map((each) => (
        <p
          key={each.id}
          className={classNames(
            'animate-appear pointer-events-auto rounded-lg border px-3.5 py-2.5 text-sm break-words shadow-lg',
            each.bad ? 'border-bad/40 bg-bad-soft text-bad' : 'border-line bg-surface',
          )}
        >
          {each.text}
        </p>
      ))}
    </div>
  );
}
