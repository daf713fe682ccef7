import { useId, type ComponentProps, type ReactNode } from 'react';
import { classNames } from './class-names.ts';

const boxClass =
  'w-full rounded-lg border border-line-strong bg-surface px-3 text-[0.95rem] placeholder:text-muted focus:outline-2 focus:-outline-offset-1 focus:outline-accent';

/** A labelled control; the function gets the id and what describes it. */
export function Field({
  label,
  hint,
  error,
  children,
}: {
  label: string;
  hint?: ReactNode;
  error?: string | null | undefined;
  children: (control: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': boolean }) => ReactNode;
}) {
  const id = useId();
  const note = error ?? hint;
  return (
    <div>
      <label htmlFor={id} className="mb-1 block text-sm font-medium">
        {label}
      </label>
      {children({
        id,
        'aria-describedby': note === undefined ? undefined : `${id}-note`,
        'aria-invalid': Boolean(error),
      })}
      {note !== undefined && (
        <p id={`${id}-note`} className={classNames('mt-1 text-[0.82rem]', error ? 'text-bad' : 'text-muted')}>
          {note}
        </p>
      )}
    </div>
  );
}

export function Input({ className, ...rest }: ComponentProps<'input'>) {
  return <input autoComplete="off" spellCheck={false} className={classNames(boxClass, 'h-9', className)} {...rest} />;
}

export function TextArea({ className, ...rest }: ComponentProps<'textarea'>) {
  return <textarea className={classNames(boxClass, 'py-2 leading-snug', className)} {...rest} />;
}

export function Select({ className, children, ...rest }: ComponentProps<'select'>) {
  return (
    <select className={classNames(boxClass, 'h-9', className)} {...rest}>
      {children}
    </select>
  );
}
