import { Fragment, type ReactNode } from 'react';
import type { Node } from './highlight.ts';
import { useHighlight } from './use-highlight.ts';

/** Above this, colours cost more than they tell. */
const maxChars = 60_000;

/** Code, coloured as soon as the grammars are there; its size is the same before and after. */
export function Highlighted({ text, language }: { text: string; language: string | null }) {
  const highlight = useHighlight(language !== null && text.length <= maxChars);
  const nodes = language === null ? null : (highlight?.(language, text) ?? null);
  return <code>{nodes === null ? text : nodes.map(draw)}</code>;
}

function draw(node: Node, index: number): ReactNode {
  if (node.type === 'text') return <Fragment key={index}>{node.value}</Fragment>;
  return (
    <span key={index} className={node.className}>
      {node.children.map(draw)}
    </span>
  );
}
