import { common, createLowlight } from 'lowlight';

export type Node = { type: 'text'; value: string } | { type: 'element'; className: string; children: Node[] };
export type Highlight = (language: string, text: string) => Node[] | null;

const lowlight = createLowlight(common);

/** A tree of text and classes, never HTML. `null` for a language without a grammar. */
export const highlight: Highlight = (language, text) => {
  if (!lowlight.registered(language)) return null;
  return lowlight.highlight(language, text).children.flatMap(simplify);
};

type Hast = ReturnType<typeof lowlight.highlight>['children'][number];

function simplify(node: Hast): Node[] {
  if (node.type === 'text') return [{ type: 'text', value: node.value }];
  if (node.type !== 'element') return [];
  const names = node.properties['className'];
  return [
    {
      type: 'element',
      className: Array.isArray(names) ? names.join(' ') : '',
      children: node.children.flatMap((child) => (child.type === 'comment' ? [] : simplify(child))),
    },
  ];
}
