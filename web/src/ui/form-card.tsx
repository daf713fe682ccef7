import type { ReactNode } from 'react';
import { Button } from './button.tsx';
import { Failure } from './states.tsx';
import type { Submit } from './use-submit.ts';

/** A small form among others on a page: its fields, what went wrong, and the button that sends it. */
export function FormCard({
  title,
  heading: Heading = 'h3',
  action,
  submit,
  onSubmit,
  children,
}: {
  title: string;
  /** One below what it stands under; a page's sections have `h2`. */
  heading?: 'h2' | 'h3';
  action: string;
  submit: Submit;
  onSubmit: () => Promise<void>;
  children: ReactNode;
}) {
  return (
    <form
      aria-label={title}
      className="space-y-3.5 rounded-xl border border-line bg-surface p-4"
      onSubmit={(event) => {
        event.preventDefault();
        submit.run(onSubmit);
      }}
    >
      <Heading className="text-sm font-semibold">{title}</Heading>
      {children}
      {submit.failure !== null && <Failure error={submit.failure} />}
      <div className="flex justify-end">
        <Button type="submit" tone="accent" disabled={submit.busy}>
          {action}
        </Button>
      </div>
    </form>
  );
}
