import { useEffect, useRef } from 'react';

/**
 * Keys for the whole page: `n`, or `mod+k` (Ctrl, or Command on a Mac). Plain ones do nothing while a person types.
 */
export function useKeys(bindings: Record<string, (event: KeyboardEvent) => void>): void {
  const current = useRef(bindings);
  useEffect(() => {
    current.current = bindings;
  });
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.altKey) return;
      const mod = event.ctrlKey || event.metaKey;
      const action = current.current[`${mod ? 'mod+' : ''}${event.key.toLowerCase()}`];
      if (
        action === undefined ||
        (!mod && (isTyping(event.target) || document.querySelector('[role=dialog]') !== null))
      )
        return;
      event.preventDefault();
      action(event);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}
