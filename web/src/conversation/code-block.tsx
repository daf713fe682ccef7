import { Check, Copy } from 'lucide-react';
import { memo, useState } from 'react';
import { classNames } from '../ui/class-names.ts';
import { Highlighted } from './highlighted.tsx';

/** Code to read and to take along. */
export const CodeBlock = memo(function CodeBlock({
  text,
  language,
  className,
}: {
  text: string;
  language: string | null;
  className?: string;
}) {
  return (
    <div className={classNames('group relative my-3 rounded-lg border border-line bg-code', className)}>
      <pre tabIndex={0} className="overflow-x-auto px-3.5 py-2.5 font-mono text-[0.85rem] leading-normal">
        <Highlighted text={text} language={language} />
      </pre>
      <CopyButton
        text={text}
        className="absolute top-1.5 right-1.5 opacity-0 group-hover:opacity-100 focus-visible:opacity-100"
      />
    </div>
  );
});

export function CopyButton({ text, className, label = 'Copy' }: { text: string; className?: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <button
      type="button"
      aria-label={copied ? 'Copied' : label}
      className={classNames('rounded-md border border-line bg-surface p-1.5 text-muted hover:text-text', className)}
      onClick={() => {
        void navigator.clipboard.writeText(text).then(() => {
          setCopied(true);
          setTimeout(() => setCopied(false), 1_500);
        });
      }}
    >
      {copied ? <Check className="size-3.5" /> : <Copy className="size-3.5" />}
    </button>
  );
}
