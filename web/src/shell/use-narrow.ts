import { useSyncExternalStore } from 'react';

/** The width below which one thing is shown at a time; Tailwind's `md`. */
const narrow = window.matchMedia('(width < 48rem)');

function subscribe(listener: () => void): () => void {
  narrow.addEventListener('change', listener);
  return () => narrow.removeEventListener('change', listener);
}

export function useNarrow(): boolean {
  return useSyncExternalStore(subscribe, () => narrow.matches);
}
