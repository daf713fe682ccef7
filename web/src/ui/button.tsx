import type { ComponentProps, ReactNode } from 'react';
import { classNames } from './class-names.ts';
import { Tip } from './tip.tsx';

type Tone = 'plain' | 'accent' | 'quiet' | 'danger';

const tones: Record<Tone, string> = {
  plain: 'border border-line-strong bg-surface hover:bg-hover',
  accent: 'border border-transparent bg-accent text-accent-text hover:brightness-110',
  quiet: 'border border-transparent text-muted hover:bg-hover hover:text-text',
  danger: 'border border-bad/50 bg-surface text-bad hover:bg-bad-soft',
};

export interface ButtonProps extends ComponentProps<'button'> {
  tone?: Tone;
  size?: 'small' | 'normal';
}

/** How every button looks, for what must be another component's element. */
export function buttonClass(tone: Tone = 'plain', size: 'small' | 'normal' = 'normal'): string {
  return classNames(
    'inline-flex shrink-0 items-center justify-center gap-1.5 rounded-lg font-medium whitespace-nowrap transition-colors select-none',
    'disabled:cursor-not-allowed disabled:opacity-50',
    size === 'small' ? 'h-7 px-2.5 text-[0.85rem]' : 'h-9 px-3.5 text-[0.93rem]',
    tones[tone],
  );
}

export function Button({ tone = 'plain', size = 'normal', className, type = 'button', ...rest }: ButtonProps) {
  return (
    <button
      type={type}
      className={classNames(buttonClass(tone, size), className)}
      {...rest}
    />
  );
}

/** A button that is only a picture: its name is its tool tip and what screen readers say. */
export function IconButton({
  label,
  children,
  className,
  keys,
  ...rest
}: ComponentProps<'button'> & { label: string; keys?: string; children: ReactNode }) {
  return (
    <Tip text={keys === undefined ? label : `${label} · ${keys}`}>
      <button
        type="button"
        aria-label={label}
        className={classNames(
          'inline-flex size-8 shrink-0 items-center justify-center rounded-lg text-muted transition-colors hover:bg-hover hover:text-text disabled:opacity-40 [&_svg]:size-4.5',
          className,
        )}
        {...rest}
      >
        {children}
      </button>
    </Tip>
  );
}
