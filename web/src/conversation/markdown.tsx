import { lazy, Suspense } from 'react';

/** Begun at once, beside the request for the conversation; text that is there earlier is shown as it was written. */
const loading = import('./markdown-document.tsx');
const MarkdownDocument = lazy(() => loading);

export function Markdown({ text }: { text: string }) {
  return (
    <Suspense fallback={<p className="leading-relaxed break-words whitespace-pre-wrap">{text}</p>}>
      <MarkdownDocument text={text} />
    </Suspense>
  );
}
