import { Fragment, useEffect, useState, type ReactNode } from 'react';
import type { Highlight, Node } from './highlight.ts';

/** Above this, colours cost more than they tell. */
const maxChars = 60_000;

let highlight: Highlight | null = null;
let loading: Promise<void> | null = null;

/** Code, coloured as soon as the grammars are there; its size is the same before and after. */
export function Highlighted({ text, language }: { text: string; language: string | null }) {
  const wanted = language !== null && text.length <= maxChars;
  const [ready, setReady] = useState(highlight !== null);
  useEffect(() => {
    if (!wanted || ready) return;
    loading ??= import('./highlight.ts').then((module) => {
      highlight = module.highlight;
    });
    let gone = false;
    loading.then(
      () => gone || setReady(true),
      () => undefined,
    );
    return () => {
      gone = true;
    };
  }, [wanted, ready]);
  const nodes = wanted && ready ? highlight?.(language, text) : null;
  return <code>{nodes === null || nodes === undefined ? text : nodes.map(draw)}</code>;
}

function draw(node: Node, index: number): ReactNode {
  if (node.type === 'text') return <Fragment key={index}>{node.value}</Fragment>;
  return (
    <span key={index} className={node.classes}>
      {node.children.map(draw)}
    </span>
  );
}
