import type { ReactNode } from 'react';
import { Button } from './button.tsx';
import { Failure } from './states.tsx';
import type { Submit } from './use-submit.ts';

/** A small form among others on a page: its fields, what went wrong, and the button that sends it. */
export function FormCard({
  title,
  action,
  submit,
  onSubmit,
  children,
}: {
  title: string;
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
      <h3 className="text-sm font-semibold">{title}</h3>
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
