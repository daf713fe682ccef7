import { memo, type ComponentProps } from 'react';
import Base, { type Components } from 'react-markdown';
import { CodeBlock } from './code-block.tsx';
import { readGfm } from './gfm.ts';
import { inertMarkdown } from './inert-markdown.ts';

/**
 * What an agent wrote, as it meant it. Raw HTML stays text, pictures of other servers become links (looking at one would
 * tell its server that somebody did), and a link says in its tip where it goes.
 */
export default memo(function MarkdownDocument({ text }: { text: string }) {
  return (
    <div className="min-w-0 leading-relaxed break-words [&>:first-child]:mt-0 [&>:last-child]:mb-0">
      <Base remarkPlugins={readers} rehypePlugins={writers} components={components}>
        {text}
      </Base>
    </div>
  );
});

const readers = [readGfm];
const writers = [inertMarkdown];

const components: Components = {
  a: ({ href, children }) => <OutLink href={href}>{children}</OutLink>,
  img: ({ src, alt }) => <OutLink href={typeof src === 'string' ? src : undefined}>{alt || 'image'}</OutLink>,
  p: ({ children }) => <p className="my-2.5">{children}</p>,
  h1: ({ children }) => (
    <p role="heading" aria-level={2} className="mt-4 mb-2 text-lg font-semibold">
      {children}
    </p>
  ),
  h2: ({ children }) => (
    <p role="heading" aria-level={2} className="mt-4 mb-2 text-[1.05rem] font-semibold">
      {children}
    </p>
  ),
  h3: ({ children }) => (
    <p role="heading" aria-level={2} className="mt-3 mb-1.5 font-semibold">
      {children}
    </p>
  ),
  h4: ({ children }) => (
    <p role="heading" aria-level={2} className="mt-3 mb-1.5 font-semibold">
      {children}
    </p>
  ),
  h5: ({ children }) => (
    <p role="heading" aria-level={2} className="mt-3 mb-1.5 font-semibold">
      {children}
    </p>
  ),
  h6: ({ children }) => (
    <p role="heading" aria-level={2} className="mt-3 mb-1.5 font-semibold">
      {children}
    </p>
  ),
  ul: ({ children }) => <ul className="my-2 list-disc space-y-1 pl-6">{children}</ul>,
  ol: ({ children, start }) => (
    <ol start={start} className="my-2 list-decimal space-y-1 pl-6">
      {children}
    </ol>
  ),
  blockquote: ({ children }) => (
    <blockquote className="my-2 border-l-3 border-line-strong pl-3 text-muted">{children}</blockquote>
  ),
  hr: () => <hr className="my-4 border-line" />,
  table: ({ children }) => (
    <div className="my-3 overflow-x-auto" tabIndex={0} role="group" aria-label="Table">
      <table className="text-[0.9rem] [&_td]:border [&_td]:border-line [&_td]:px-2.5 [&_td]:py-1 [&_th]:border [&_th]:border-line [&_th]:bg-raised [&_th]:px-2.5 [&_th]:py-1 [&_th]:text-left">
        {children}
      </table>
    </div>
  ),
  input: ({ checked }) => (
    <input type="checkbox" checked={checked === true} readOnly disabled aria-label="done" className="mr-1.5" />
  ),
  pre: ({ children }) => <>{children}</>,
  code: ({ className, children }) => {
    const text = String(children);
    const language = /language-([\w+#-]+)/.exec(className ?? '')?.[1];
    if (language === undefined && !text.includes('\n')) {
      return <code className="rounded bg-raised px-1 py-0.5 font-mono text-[0.88em]">{text}</code>;
    }
    return <CodeBlock text={text.replace(/\n$/, '')} language={language ?? null} />;
  },
};

function OutLink({ href, children }: Pick<ComponentProps<'a'>, 'href' | 'children'>) {
  if (href === undefined || !/^(https?:|mailto:)/i.test(href))
    return <span className="underline decoration-dotted">{children}</span>;
  return (
    <a
      href={href}
      title={href}
      target="_blank"
      rel="noopener noreferrer nofollow"
      className="text-accent underline underline-offset-2"
    >
      {children}
    </a>
  );
}
