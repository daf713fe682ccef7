import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '../../src/sdk/index.ts';
import { root, type TestServer } from './harness.ts';
import { runTurn } from './scripted.ts';
import { violationsOf } from './web/axe.ts';
import { newVisitor } from './web/browser.ts';
import { foundIn, hostileText, nothingFound, poisonAnswers } from './web/hostile-answers.ts';
import type { People } from './web/people.ts';
import { openWidgets, type Widgets } from './web/widgets.ts';

let widgets: Widgets | undefined;
let server: TestServer;
let browser: Browser;
let people: People;
let session: Session;

beforeAll(async () => {
  widgets = await openWidgets();
  ({ server, browser, people, session } = widgets);
  const everything = 'plan +read;>write\nthink hm\nwrite src/size.ts export const size = 2;\nimage\nask May I?\nbash seq 20\nsay it **is**\n';
  await runTurn(server.client, session.id, everything);
});

afterAll(() => widgets?.close());

/** Whatever a test does: no refusal of the content policy, no failed script, no dialog, no request to elsewhere. */
afterEach(() => people.leave());

const at = () => `/sessions/${session.id}`;
const hold = (page: Page, text: string | RegExp): Promise<void> =>
  page.getByRole('log', { name: 'Conversation' }).getByText(text).last().waitFor();

/** Every page, with what it is called. */
const pages = [
  ['/', 'New session'],
  ['/queue', 'Queue'],
  ['/dead-letters', 'Dead letters'],
  ['/sandboxes', 'Sandboxes'],
  ['/health', 'Health'],
  ['/github', 'GitHub'],
  ['/usage', 'Usage'],
  ['/people', 'People'],
  ['/keys', 'Keys'],
  ['/templates', 'Templates'],
  ['/network', 'Network'],
  ['/device', 'Let a program in'],
  ['/audit', 'Audit'],
  ['/nothing', 'There is nothing here'],
] as const;

/** A phone shows the sessions in the place of the page that begins one. */
const opened = async (page: Page, path: string, heading: string): Promise<void> => {
  await page.goto(server.url + path);
  await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
  await page.getByText(/…$/).first().waitFor({ state: 'detached' });
};

describe('every page and tab', () => {
  test('none is left out here', () => {
    const routes = readFileSync(join(root, 'web/src/router.tsx'), 'utf8').matchAll(/at\('(\/[^'$]*)'\)/g);
    const known = [...pages.map(([path]) => path as string), '/new'];
    expect([...routes].map(([, path]) => path).filter((path) => !known.includes(path!))).toEqual([]);
  });

  test.each([
    ['light, on a desk', { width: 1400, height: 900 }],
    ['dark, on a phone', { width: 390, height: 800, dark: true }],
  ])('can be used by everybody and fits, %s', async (_, look) => {
    const isPhone = look.width < 500;
    const page = await people.visit('/', look);
    const wrong: unknown[] = [];
    const check = async (what: string): Promise<void> => {
      const tooWide = await page.evaluate(() =>
        Math.max(...[...document.querySelectorAll('html, main')].map((each) => each.scrollWidth - each.clientWidth)),
      );
      wrong.push(...(await violationsOf(page)).map((each) => `${what}: ${each}`), ...(tooWide > 0 ? [`${what} is ${tooWide} px too wide`] : []));
    };
    for (const [path, heading] of pages) {
      await opened(page, path === '/' && isPhone ? '/new' : path, heading);
      await check(path);
    }
    if (isPhone) {
      await page.goto(`${server.url}/`);
      await page.getByRole('region', { name: 'Sessions' }).getByRole('link').first().waitFor();
      await check('the list');
    }
    await page.goto(server.url + at());
    await hold(page, /^Done/);
    await check('a session');
    await page.getByRole('button', { name: 'Show the workspace' }).click();
    const workspace = page.getByRole('region', { name: 'Workspace' });
    for (const tab of await workspace.getByRole('tab').all()) {
      await tab.click();
      await workspace.getByText(/…$/).first().waitFor({ state: 'detached' });
      await check(`the tab ${await tab.innerText()}`);
    }
    expect(wrong).toEqual([]);
  });
});

describe('what is hostile', () => {
  test('in every answer of the server it is text on every page and tab', async () => {
    const failedAt = new Date(0).toISOString();
    const letter = { turnId: 'trn_made', sessionId: session.id, code: 'agent_failed', message: '', attempts: 3, failedAt, replayedAt: null, replayTurnId: null };
    const decision = { host: 'h', port: 443, allowed: false, reason: 'r', count: 1, firstAt: failedAt, lastAt: failedAt, sessionId: session.id, allowedSince: false };
    const page = await people.visit('/queue', {
      prepare: (made) => poisonAnswers(made, /^\/api\/(?!sessions\/[^/]+\/(?:stream|processes|files|exec|diff)|me$|login|agents$|teams)/, { deadLetters: [letter], decisions: [decision] }),
    });
    for (const [path, heading] of pages) {
      await opened(page, path, heading);
      expect([path, await foundIn(page)]).toEqual([path, nothingFound]);
    }
    for (const path of ['/dead-letters', '/audit', '/network']) {
      await page.goto(server.url + path);
      await page.getByRole('main').getByText('javascript:reportWrong(1)').filter({ visible: true }).first().waitFor();
    }
    await page.goto(server.url + at());
    await hold(page, /^Done/);
    await page.getByRole('button', { name: 'Show the workspace' }).click();
    const workspace = page.getByRole('region', { name: 'Workspace' });
    for (const tab of ['Git', 'Sandbox', 'Network', 'Usage']) {
      await workspace.getByRole('tab', { name: tab }).click();
      await workspace.getByText(/…$/).first().waitFor({ state: 'detached' });
      expect([tab, await foundIn(page)]).toEqual([tab, nothingFound]);
    }
    await workspace.getByRole('tab', { name: 'Network' }).click();
    await workspace.getByText('javascript:reportWrong(1)').first().waitFor();
    expect(await page.title()).not.toMatch(/\u202e|\u001b/);
  });

  test('in file names, in what files and diffs hold, it is text too', async () => {
    const script = `cd "${session.cwd}" && cat > hostile.js && cp hostile.js "$(printf 'bidi\\342\\200\\256txt.js')" && cp hostile.js '<img src=x onerror=reportWrong(1)>.html'`;
    await server.client.sessions.exec(session.id, { argv: ['sh', '-c', script], stdin: new TextEncoder().encode(`// ${hostileText}\nconst a = "${hostileText}";\n`) });
    const page = await people.visit(at());
    await page.getByRole('button', { name: 'Show the workspace' }).click();
    const workspace = page.getByRole('region', { name: 'Workspace' });
    await workspace.getByRole('tab', { name: 'Changes' }).click();
    for (const name of ['hostile.js', 'bidi\\u{202e}txt.js', '<img src=x onerror=reportWrong(1)>.html']) {
      const lines = workspace.getByRole('group', { name: `Changes of ${name}`, exact: true });
      await lines.getByText('reportWrong').first().waitFor();
      if (name.endsWith('.js')) await lines.locator('.hljs-keyword').first().waitFor();
    }
    expect(await foundIn(page)).toEqual(nothingFound);
    await workspace.getByRole('tab', { name: 'Files' }).click();
    await workspace.getByRole('button', { name: /^bidi/ }).click();
    await workspace.getByText('reportWrong').first().waitFor();
    expect(await foundIn(page)).toEqual(nothingFound);
  });

  test('were a script to get in, the policy would stop it: inline, by handler, by address, from elsewhere, out to elsewhere', async () => {
    const { page, context, wrong } = await newVisitor(browser, server.url);
    await page.goto(server.url);
    await page.getByRole('heading', { level: 1 }).waitFor();
    expect(wrong).toEqual([]);
    await page.evaluate(async () => {
      const add = (tag: string, fields: Record<string, string>): HTMLElement => {
        const element = Object.assign(document.createElement(tag), fields);
        document.body.append(element);
        return element;
      };
      add('script', { textContent: 'reportWrong("ran inline")' });
      add('script', { src: 'data:text/javascript,reportWrong("ran data")' });
      add('script', { src: 'https://evil.test/x.js' });
      add('div', { innerHTML: '<img src="/none.png" onerror="reportWrong(\'ran handler\')">' });
      add('a', { href: 'javascript:reportWrong("ran address")' }).click();
      add('iframe', { srcdoc: '<script>parent.reportWrong("ran frame")</script>' });
      add('iframe', { src: 'https://evil.test/' });
      add('img', { src: 'https://evil.test/pixel.png' });
      // The page's own code puts a nonce on the style elements that it makes; what comes as text has none.
      add('div', { innerHTML: '<style>body { display: none }</style>' });
      add('base', { href: 'https://evil.test/' });
      add('form', { action: 'https://evil.test/' });
      document.querySelector<HTMLFormElement>('form[action*=evil]')!.submit();
      await fetch('https://evil.test/').catch(() => undefined);
      // Later, for what a debugger runs is not bound by the policy.
      setTimeout(() => {
        try {
          // oxlint-disable-next-line no-new-func -- that it is refused is the point
          new Function('reportWrong("ran eval")')();
        } catch {
          // As it should be.
        }
      });
    });
    const directives = () => [...new Set(wrong.flatMap((each) => /^policy: (\S+)/.exec(each)?.[1] ?? []))].toSorted();
    await expect
      .poll(directives, { timeout: 15_000 })
      .toEqual(['base-uri', 'connect-src', 'form-action', 'frame-src', 'img-src', 'script-src', 'script-src-attr', 'script-src-elem', 'style-src-elem']);
    expect(wrong.filter((each) => each.startsWith('ran'))).toEqual([]);
    expect(await page.evaluate(() => getComputedStyle(document.body).display)).not.toBe('none');
    await context.close();
  });
});
