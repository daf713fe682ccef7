import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, test } from 'vitest';
import { isTameMarkdown } from './markdown-limits.ts';
import MarkdownDocument from './markdown-document.tsx';

const shown = (text: string): string => renderToStaticMarkup(<MarkdownDocument text={text} />);

describe('Markdown', () => {
  test('what its own escapes bring in is made visible: marks of direction, controls, in text, code, names and tips', () => {
    const html = shown('rm &#x202e;txt [a&#8238;b](https://a.test "t&#x2066;") ![alt&#x202e;](https://b.test/p.png) &#27;[31m');
    expect(html).not.toMatch(/[\u001b\u202a-\u202e\u2066-\u2069]/u);
    expect(html).toContain('\\u{202e}');
  });

  test.each([
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'java&#x0a;script:alert(1)',
    '&#106;avascript:alert(1)',
    '\u0001javascript:alert(1)',
    'vbscript:x',
    'data:text/html,<script>alert(1)</script>',
    'file:///etc/passwd',
    'blob:https://a.test/1',
    '//evil.test',
    '/sessions/ses_x',
    'sessions/ses_x',
  ])('an address that is not one of the web is no link: %s', (address) => {
    const html = shown(`[click](<${address}>) ![look](<${address}>)\n\n[ref]\n\n[ref]: <${address}>`);
    expect(html).not.toContain('<a');
    expect(html).not.toContain('<img');
    expect(html).toContain('click');
  });

  test('raw HTML is text; an image of elsewhere is a link that tells no page where it was followed from', () => {
    const html = shown('<img src=x onerror=alert(1)> <svg onload=alert(1)>\n\n<script>alert(1)</script>\n\n![p](https://a.test/p.png)');
    expect(html).not.toMatch(/<(?:img|svg|script)/);
    expect(html).toMatch(/<a href="https:\/\/a\.test\/p\.png"[^>]*rel="noopener noreferrer nofollow"/);
  });
});

describe('what is read as Markdown', () => {
  test.each<[string, string]>([
    ['quotes in quotes', '>'.repeat(5_000)],
    ['lists in lists', Array.from({ length: 400 }, (_, depth) => `${'  '.repeat(depth)}- x`).join('\n')],
    ['emphasis that never ends', '**_'.repeat(5_000)],
    ['brackets', '['.repeat(20_000)],
    ['the same in many paragraphs', `${'[*'.repeat(400)}\n\n`.repeat(50)],
    ['the same behind raw HTML', `<div>\n\`\`\`\n\n${'[*'.repeat(5_000)}`],
    ['the same behind a fence of a list', `- a\n  \`\`\`\n${'[*'.repeat(5_000)}`],
    ['the same behind a fence that has ended', `\`\`\`\ncode\n\`\`\`\n${'[*'.repeat(5_000)}`],
    ['a book', 'word '.repeat(50_000)],
  ])('not %s, which would hold the page up', (_, text) => {
    expect(isTameMarkdown(text)).toBe(false);
  });

  test('but an answer, however much code it brings', () => {
    const code = `\`\`\`ts\n${'const a = list[index] ?? `_${x}*`;\n'.repeat(500)}\`\`\`\n`;
    expect(isTameMarkdown(`# Done\n\n1. one\n   - two\n     > three\n\n${code}\n| a | b |\n|---|---|\n| **c** | \`d\` |\n`)).toBe(true);
  });
});
