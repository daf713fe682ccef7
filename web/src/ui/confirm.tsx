import { AlertDialog as Base } from 'radix-ui';
import { useSyncExternalStore } from 'react';
import { buttonClass } from './button.tsx';

/** What is asked before something that cannot be undone. */
export interface Question {
  title: string;
  /** What is gone afterwards, and what is not. */
  lost: string;
  /** Says what is done; it is the button that does it. */
  action: string;
}

interface Asked extends Question {
  id: number;
  answer: (yes: boolean) => void;
}

const listeners = new Set<() => void>();
let asked: Asked | null = null;
let nextId = 1;

function change(next: Asked | null): void {
  asked = next;
  for (const listener of listeners) listener();
}

/** Asks a person. The keyboard stands on "Cancel" first, and `Esc` is no. One question at a time: a new one refuses the old. */
export function confirmed(question: Question): Promise<boolean> {
  asked?.answer(false);
  return new Promise((resolve) => change({ ...question, id: nextId++, answer: resolve }));
}

/** Where questions are shown; once in the page. */
export function Confirmations() {
  const question = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => asked,
  );
  const give = (yes: boolean): void => {
    question?.answer(yes);
    change(null);
  };
  if (question === null) return null;
  return (
    <Base.Root key={question.id} open onOpenChange={(open) => !open && give(false)}>
      <Base.Portal>
        <Base.Overlay className="fixed inset-0 z-50 bg-black/45" />
        <Base.Content className="animate-appear fixed top-[18vh] left-1/2 z-50 w-[min(28rem,calc(100vw-1.5rem))] -translate-x-1/2 rounded-2xl border border-line bg-surface p-5 shadow-2xl">
          <Base.Title className="text-lg font-semibold break-words">{question.title}</Base.Title>
          <Base.Description className="mt-2 text-[0.95rem] break-words">{question.lost}</Base.Description>
          <div className="mt-5 flex justify-end gap-2">
            <Base.Cancel className={buttonClass('plain')}>Cancel</Base.Cancel>
            <Base.Action className={buttonClass('danger')} onClick={() => give(true)}>
              {question.action}
            </Base.Action>
          </div>
        </Base.Content>
      </Base.Portal>
    </Base.Root>
  );
}
