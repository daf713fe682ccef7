import { useEffect, useState } from 'react';
import type { Highlight } from './highlight.ts';

let highlight: Highlight | null = null;
let loading: Promise<void> | null = null;

/** What colours code: `null` until the grammars are there, which are fetched when something first wants them. */
export function useHighlight(wanted: boolean): Highlight | null {
  const [ready, setReady] = useState(highlight !== null);
  useEffect(() => {
    if (!wanted || ready) return;
    loading ??= import('./highlight.ts').then(
      (module) => {
        highlight = module.highlight;
      },
      (error: unknown) => {
        // Code is readable without colours; what next wants them tries again.
        loading = null;
        throw error;
      },
    );
    let gone = false;
    loading.then(
      () => gone || setReady(true),
      () => undefined,
    );
    return () => {
      gone = true;
    };
  }, [wanted, ready]);
  return wanted && ready ? highlight : null;
}
