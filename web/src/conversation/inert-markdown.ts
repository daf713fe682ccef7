import { sanitize, sanitizeLine } from '../../../src/protocol/inert-text.ts';

interface Tree {
  type: string;
  value?: string;
  properties?: Record<string, unknown>;
  children?: Tree[];
}

/**
 * Makes what Markdown itself brings in harmless: `&#x202e;` is letters until it is read, and a mark that turns a line round
 * afterwards. A plugin for the tree between Markdown and the page.
 */
export function inertMarkdown(): (tree: Tree) => void {
  return visit;
}

function visit(node: Tree): void {
  if (node.value !== undefined) node.value = sanitize(node.value);
  for (const name of ['alt', 'title']) {
    const value = node.properties?.[name];
    if (typeof value === 'string') node.properties![name] = sanitizeLine(value);
  }
  node.children?.forEach(visit);
}
