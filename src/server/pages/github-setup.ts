import { html } from 'hono/html';
import type { RegisteredApp, SetupForm } from '../../core/ports/forge-app.ts';
import { page, type Markup } from './page.ts';

/** The page that sends the browser to GitHub with the App's manifest. */
export function setupPage(form: SetupForm, link: string, organization: string | null): Markup {
  const where = organization === null ? html`your own account` : html`the organisation <strong>${organization}</strong>`;
  return page(
    'Connect Berth to GitHub',
    html`
<p>Berth works through a GitHub App that belongs to you. GitHub makes it from the settings below and sends
its keys straight to this server.</p>
<ul>
<li>It may read and write code, issues and pull requests, only in the repositories that you choose next.</li>
<li>Only people who can push to a repository can have Berth work in it.</li>
</ul>
${form.warning === null ? '' : html`<p class="note" role="alert">${form.warning}</p>`}
<form method="post" action="${form.action}">
<input type="hidden" name="manifest" value="${form.manifest}">
<p>The App will belong to ${where}.</p>
<button type="submit">Continue on GitHub</button>
</form>
<form method="get" action="/setup/github">
<input type="hidden" name="setup" value="${link}">
<label for="organization">Or register it for an organisation</label>
<input type="text" id="organization" name="organization" value="${organization ?? ''}" maxlength="100"
autocomplete="off" autocapitalize="none" spellcheck="false" placeholder="name, empty for your own account">
<button type="submit" class="plain">Use this account</button>
</form>
<p class="quiet">This page is good until ${form.expiresAt}.</p>`,
  );
}

/** The page after GitHub has made the App. */
export function registeredPage(app: RegisteredApp): Markup {
  return page(
    `${app.name} is registered`,
    html`
<p>One step is left: choose the repositories that it may work in.</p>
<p><a class="button" href="${app.installUrl}" rel="noreferrer">Install it</a></p>
<p>Then put the label <code>berth</code> on an issue, or write <code>@${app.slug}</code> in a comment on one.</p>`,
  );
}

/** A failure, for a person. */
export function refusedPage(message: string): Markup {
  return page(
    'This did not work',
    html`
<p class="note" role="alert">${message}</p>
<p>A new link comes from <code>POST /api/github/setup-link</code>.</p>`,
  );
}
