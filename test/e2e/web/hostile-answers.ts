import type { Page } from 'playwright-core';

const html = `<img src=x onerror="reportWrong('ran')"><svg/onload=reportWrong(1)>`;
const escapes = `\u202e/safe/\u202c \u001b[31mred\u001b]0;title\u0007\u001b]8;;https://evil.test\u0007link\u001b]8;;\u0007\u001b]52;c;ZXZpbA==\u0007`;

/** In every name and sentence of an answer. */
export const hostileText = `${html} javascript:reportWrong(1) ${escapes}`;

/** Fields that hold what agents, repositories, hosts and people chose. What is an id, a time or one of a few words stays. */
const hostileFields =
  /^(?:title|target|actor|host|reason|message|subject|detected|choice|advice|displayName|repository|branch|baseBranch|owner|log|label|account|statusReason|providerReason|path|argv|summary|text)$/;
/** Elsewhere a name is made of letters, digits and dashes: the server takes no other. */
const hostileNames = /^\/api\/(?:github|sessions)/;

/** Every answer of the API that matches brings hostile text; made before the page is loaded. `add`: what an answer that may be empty gets. */
export async function poisonAnswers(page: Page, api: RegExp, add: Readonly<Record<string, readonly object[]>> = {}): Promise<void> {
  await page.route(
    (url) => api.test(url.pathname),
    async (route) => {
      const answer = await route.fetch();
      if (!(answer.headers()['content-type'] ?? '').includes('json')) return route.fulfill({ response: answer });
      const body = (await answer.json()) as Record<string, unknown>;
      for (const [list, entries] of Object.entries(add)) {
        if (Array.isArray(body[list])) body[list] = [...entries, ...(body[list] as unknown[])];
      }
      const names = hostileNames.test(new URL(route.request().url()).pathname);
      const isHostile = (field: string): boolean => hostileFields.test(field) || (names && field === 'name');
      await route.fulfill({ response: answer, json: poison(body, '', isHostile) });
    },
  );
}

function poison(value: unknown, field: string, isHostile: (field: string) => boolean): unknown {
  if (typeof value === 'string') return isHostile(field) ? `${value} ${hostileText}` : value;
  if (Array.isArray(value)) return value.map((each) => poison(each, field, isHostile));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, poison(each, name, isHostile)]));
}

/** What hostile text has become of itself: all of these are nothing on a page that shows it as text. */
export function foundIn(page: Page) {
  return page.evaluate(() => ({
    links: [...document.querySelectorAll('a')].map((link) => link.protocol).filter((protocol) => !/^https?:$/.test(protocol)),
    handlers: document.querySelectorAll('[onerror], [onload], iframe, object, embed').length,
    pictures: [...document.querySelectorAll('img')].map((image) => image.src).filter((src) => !src.startsWith(location.origin) && !/^data:image\/(?:png|jpeg|gif|webp);base64,/.test(src)),
    scripts: [...document.scripts].filter((script) => new URL(script.src).origin !== location.origin).length,
    opened: [...document.querySelectorAll('a[target=_blank]')].filter((link) => !(link.getAttribute('rel') ?? '').includes('noopener')).length,
    // oxlint-disable-next-line no-control-regex -- finding them is the point
    controls: (document.body.innerText + document.title).match(/.{0,40}[\u0000-\u0008\u001b\u202a-\u202e\u2066-\u2069]/)?.[0] ?? null,
    // What only a screen reader says, and what a tip shows.
    // oxlint-disable-next-line no-control-regex -- as above
    names: [...document.querySelectorAll('[aria-label], [title], [alt]')].filter((each) => /[\u0000-\u0008\u001b\u202a-\u202e\u2066-\u2069]/.test(['aria-label', 'title', 'alt'].map((name) => each.getAttribute(name) ?? '').join(''))).map((each) => each.outerHTML.slice(0, 100)),
  }));
}

export const nothingFound = { links: [], handlers: 0, pictures: [], scripts: 0, opened: 0, controls: null, names: [] };
