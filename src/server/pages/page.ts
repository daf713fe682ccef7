import { createHash } from 'node:crypto';
import { html, raw } from 'hono/html';
import type { HtmlEscapedString } from 'hono/utils/html';

export type Markup = HtmlEscapedString | Promise<HtmlEscapedString>;

const style = `
:root { color-scheme: light dark; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; background: Canvas; color: CanvasText; }
main { max-width: 36rem; margin: 12vh auto 4rem; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
p, ul { margin: 0 0 1rem; }
code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
form { margin: 1.5rem 0; }
label { display: block; margin-bottom: 0.25rem; font-weight: 600; }
input[type="text"] { font: inherit; width: 100%; box-sizing: border-box; padding: 0.5rem 0.6rem; border: 1px solid GrayText; border-radius: 6px; background: Field; color: FieldText; }
button, .button { display: inline-block; font: inherit; font-weight: 600; padding: 0.55rem 1.1rem; border: 1px solid transparent; border-radius: 6px; background: #1f5fbf; color: #fff; text-decoration: none; cursor: pointer; }
button.plain { background: transparent; color: inherit; border-color: GrayText; font-weight: 400; margin-top: 0.5rem; }
:focus-visible { outline: 3px solid #f0a020; outline-offset: 2px; }
.note { border-left: 4px solid #c77700; padding: 0.5rem 1rem; margin: 1.5rem 0; }
.quiet { color: GrayText; font-size: 0.9rem; }
`;

const styleHash = createHash('sha256').update(style).digest('base64');

/** A whole page: no script, and nothing from anywhere else. */
export function page(title: string, body: Markup): Markup {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title}</title>
<style>${raw(style)}</style>
</head>
<body>
<main>
<h1>${title}</h1>
${body}
</main>
</body>
</html>`;
}

/** The page's policy; `formTargets` are the only origins that its forms may go to. */
export function pagePolicy(formTargets: readonly string[]): string {
  const forms = formTargets.length === 0 ? "'none'" : formTargets.join(' ');
  return `default-src 'none'; style-src 'sha256-${styleHash}'; form-action ${forms}; base-uri 'none'; frame-ancestors 'none'`;
}
