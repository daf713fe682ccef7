import { html } from 'hono/html';
import { page, type Markup } from './page.ts';

/** Why somebody was not let in, or his account not linked, and what he can do. */
export function signInRefusedPage(message: string): Markup {
  const sentence = message.charAt(0).toUpperCase() + message.slice(1);
  return page(
    'That did not work',
    html`
<p class="note" role="alert">${sentence}.</p>
<p><a class="button" href="/">Back to Berth</a></p>`,
  );
}
