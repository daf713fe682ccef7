import { Component, lazy, Suspense, type ReactNode } from 'react';
import { isTameMarkdown } from './markdown-limits.ts';

/** Begun at once, beside the request for the conversation; text that is there earlier is shown as it was written. */
const loading = import('./markdown-document.tsx');
const MarkdownDocument = lazy(() => loading);

export function Markdown({ text }: { text: string }) {
  const asWritten = <p className="leading-relaxed break-words whitespace-pre-wrap">{text}</p>;
  if (!isTameMarkdown(text)) return asWritten;
  return (
    <AsWritten fallback={asWritten}>
      <Suspense fallback={asWritten}>
        <MarkdownDocument text={text} />
      </Suspense>
    </AsWritten>
  );
}

/** A text that the parser fails at costs its looks, not the page. */
class AsWritten extends Component<{ fallback: ReactNode; children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render(): ReactNode {
    return this.state.failed ? this.props.fallback : this.props.children;
  }
}
