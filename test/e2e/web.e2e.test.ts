import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BerthClient, Session } from '../../src/sdk/index.ts';
import { createInstallation, root, type TestInstallation, type TestServer } from './harness.ts';
import { allEvents, scriptedSession } from './scripted.ts';
import { violationsOf } from './web/axe.ts';
import { launchBrowser, newVisitor, type Visitor, type VisitorOptions } from './web/browser.ts';
import { createCuttableProxy } from './web/cuttable-proxy.ts';
import { firstLoadBytes } from './web/first-load.ts';
import { foundIn, nothingFound } from './web/hostile-answers.ts';
import { askedAboutEdit, hostileEvents, longConversation, serveEvents } from './web/made-events.ts';
import { makeRepository } from './web/made-repository.ts';

let installation: TestInstallation;
let server: TestServer;
let client: BerthClient;
let browser: Browser;
let repository: string;
let session: Session;
const visitors: Visitor[] = [];

beforeAll(async () => {
  execFileSync(join(root, 'scripts/build-web.sh'), { stdio: 'pipe' });
  repository = makeRepository({ 'README.md': '# Widget\n', 'src/lines.txt': 'one\ntwo\nthree\n' });
  installation = await createInstallation({ BERTH_SLOTS: '4' });
  [server, browser] = await Promise.all([installation.start(), launchBrowser()]);
  client = server.client;
  session = await scriptedSession(client, { repository: `file://${repository}` });
});

afterAll(async () => {
  await browser?.close();
  await installation?.remove();
  rmSync(repository, { recursive: true, force: true });
});

/** Whatever a test does, nothing of this may have happened meanwhile. */
afterEach(async () => {
  const wrong = visitors.flatMap((visitor) => visitor.wrong);
  await Promise.all(visitors.splice(0).map((visitor) => visitor.context.close()));
  expect(wrong).toEqual([]);
});

async function visit(path: string, options: VisitorOptions & { origin?: string } = {}): Promise<Page> {
  const origin = options.origin ?? server.url;
  const visitor = await newVisitor(browser, origin, options);
  visitors.push(visitor);
  const answer = await visitor.context.request.post(`${origin}/api/login`, {
    data: { token: server.token },
    headers: { origin },
  });
  expect(answer.status()).toBe(200);
  await visitor.page.goto(origin + path);
  return visitor.page;
}

const visitSession = (options: VisitorOptions & { origin?: string } = {}, id = session.id) =>
  visit(`/sessions/${id}`, options);
const log = (page: Page) => page.getByRole('log', { name: 'Conversation' });

async function say(page: Page, prompt: string): Promise<void> {
  const box = page.getByRole('textbox', { name: 'Prompt' });
  await box.fill(prompt);
  await box.press('Enter');
  await expect.poll(() => box.inputValue(), { timeout: 15_000 }).toBe('');
}

const hold = (page: Page, text: string | RegExp) => log(page).getByText(text).last().waitFor();

describe('signing in', () => {
  test('the printed link works once, leaves the address, and no script can read what it gave', async () => {
    const first = await newVisitor(browser, server.url);
    visitors.push(first);
    await first.page.goto(server.signInUrl);
    await first.page.getByRole('heading', { name: 'New session' }).waitFor();
    expect(first.page.url()).toBe(`${server.url}/`);
    expect(await first.page.evaluate(() => document.cookie + JSON.stringify(localStorage))).not.toContain('brth_');
    expect(await first.page.evaluate(() => document.cookie)).toBe('');

    const second = await newVisitor(browser, server.url);
    visitors.push(second);
    await second.page.goto(server.signInUrl);
    await second.page.getByText('was used or has ended').waitFor();
    expect(await violationsOf(second.page)).toEqual([]);
    await second.page.getByLabel('Or paste your token').fill(server.token);
    await second.page.getByRole('button', { name: 'Sign in' }).click();
    await second.page.getByRole('heading', { name: 'New session' }).waitFor();
  });
});

describe('a session', () => {
  test('is started from the form, and its answer is read', async () => {
    const page = await visit('/');
    await page.getByLabel('What should be done?').fill('echo "it is $((40 + 2))"');
    await page.getByLabel('Repository').fill(`file://${repository}`);
    await page.getByLabel('Agent').selectOption('shell');
    await page.getByRole('button', { name: 'Start session' }).click();
    await page.waitForURL('**/sessions/ses_*');
    await hold(page, 'it is 42');
    await hold(page, /^Done/);
    await page.getByRole('navigation').waitFor();
    await page.getByRole('searchbox').fill('echo it is');
    await page.getByRole('region', { name: 'Sessions' }).getByRole('link').filter({ hasText: 'idle' }).waitFor();
    await page.getByRole('searchbox').fill('nothing is called so');
    await page.getByText('No session matches.').waitFor();
  });

  test('two people: one prompts, the other answers from a phone by a tap; then by a key', async () => {
    const [ada, bob] = await Promise.all([visitSession(), visitSession({ width: 390, height: 800, dark: true })]);
    await say(ada, 'plan +read;>write\nask May I write?\nask And delete?');
    await bob.getByRole('region', { name: 'Permission wanted' }).getByText('May I write?').first().waitFor();
    expect(await violationsOf(bob)).toEqual([]);
    await bob.getByRole('button', { name: /^Allow once/ }).click();
    for (const page of [ada, bob]) await hold(page, /→ Allow once/);
    await ada.getByRole('region', { name: 'Permission wanted' }).getByText('And delete?').first().waitFor();
    await log(ada).focus();
    await ada.keyboard.press('n');
    for (const page of [ada, bob]) {
      await hold(page, /→ Reject/);
      await hold(page, /^Done/);
    }
    const resolved = (await allEvents(client, session.id)).filter((event) => event.type === 'permission.resolved');
    expect(resolved.map((event) => event.data.optionId)).toEqual(['allow', 'reject']);
  });

  test('a follow-up waits while a turn runs, and Escape interrupts', async () => {
    const page = await visitSession();
    await say(page, 'say before\nhang');
    await hold(page, 'before');
    await say(page, 'say afterwards');
    await page.getByRole('button', { name: 'Interrupt' }).waitFor();
    await log(page).focus();
    await page.keyboard.press('Escape');
    await hold(page, /^Interrupted/);
    await page.getByRole('button', { name: 'Interrupt' }).waitFor({ state: 'detached' });
  });

  test('a connection cut in the middle of a turn: nothing missing, nothing twice', async () => {
    const proxy = await createCuttableProxy(server.url);
    try {
      const page = await visitSession({ origin: proxy.origin });
      await say(
        page,
        [
          'say alpha ',
          'sleep 400',
          'say bravo ',
          'sleep 1500',
          'say charlie ',
          'bash echo delta',
          'ask Go on?',
          'say foxtrot',
        ].join('\n'),
      );
      await hold(page, /alpha/);
      proxy.cut();
      await page.getByText('The connection was lost').waitFor();
      const { id } = session;
      await expect.poll(async () => (await client.sessions.get(id)).status, { timeout: 15_000 }).toBe('asking');
      proxy.restore();
      await page.getByRole('region', { name: 'Permission wanted' }).getByText('Go on?').first().waitFor();
      await page.getByText('The connection was lost').waitFor({ state: 'detached' });
      await log(page).focus();
      await page.keyboard.press('y');
      await hold(page, /foxtrot/);
      const live = await log(page).innerText();
      expect(live.match(/alpha\s*bravo\s*charlie/g)).toHaveLength(1);
      await page.reload();
      await hold(page, /^Done/);
      expect((await log(page).innerText()).match(/alpha\s*bravo\s*charlie/g)).toHaveLength(1);
    } finally {
      await proxy.close();
    }
  });
});

describe('the workspace', () => {
  test('changes with a comment that goes along, files, and a terminal that outlives the page', async () => {
    const page = await visitSession();
    await say(page, 'write src/made.txt made\\nby the agent\\n\nbash printf "one\\n2\\nthree\\n" > src/lines.txt');
    await hold(page, /^Done/);
    await page.getByRole('button', { name: 'Show the workspace' }).click();
    const workspace = page.getByRole('region', { name: 'Workspace' });
    await workspace.getByRole('button', { name: /src\/lines\.txt/ }).waitFor();
    await workspace.getByRole('button', { name: 'Side by side' }).click();
    await workspace
      .getByRole('group', { name: 'Changes of src/lines.txt' })
      .getByRole('button', { name: 'Comment on line 2' })
      .last()
      .click({ force: true });
    await workspace.getByRole('textbox', { name: 'Comment on line 2' }).fill('Spell it out.');
    await workspace.getByRole('button', { name: 'Add comment' }).click();
    expect(await violationsOf(page)).toEqual([]);
    await say(page, 'say thanks');
    await hold(page, /Spell it out\./);
    const prompts = (await allEvents(client, session.id)).flatMap((event) =>
      event.type === 'turn.queued' ? event.data.prompt : [],
    );
    expect(prompts.at(-1)?.['text']).toBe('In src/lines.txt, line 2:\n> 2\nSpell it out.\n\nsay thanks');

    await workspace.getByRole('tab', { name: 'Files' }).click();
    await workspace.getByRole('button', { name: 'src', exact: true }).click();
    await workspace.getByRole('button', { name: /made\.txt/ }).click();
    await workspace.getByText('by the agent').waitFor();
    expect(await violationsOf(page)).toEqual([]);

    await workspace.getByRole('tab', { name: 'Terminals' }).click();
    await workspace.getByRole('button', { name: 'Open a terminal' }).click();
    const screen = page.getByTestId('terminal').locator('.xterm-rows');
    await expect.poll(() => screen.innerText(), { timeout: 15_000 }).toContain('$');
    // Colours, a title, a link and the clipboard: drawn, or nothing.
    await page.keyboard.type(
      `printf '\\033[38;2;9;9;9mdark\\033[0m \\033]0;evil\\007\\033]8;;https://evil.test\\007link\\033]8;;\\007\\033]52;c;ZXZpbA==\\007 end\\n'; echo $((6 * 7))kept\n`,
    );
    await expect.poll(() => screen.innerText(), { timeout: 15_000 }).toContain('42kept');
    expect(await page.title()).not.toContain('evil');
    expect(await violationsOf(page)).toEqual([]);
    await page.reload();
    await expect.poll(() => screen.innerText(), { timeout: 15_000 }).toContain('42kept');
    await page.getByRole('button', { name: 'End this terminal' }).click();
    await page.getByText('No terminal is open').waitFor();
  });
});

describe('running the installation', () => {
  const accessible = async (page: Page): Promise<void> => {
    await page.getByText(/…$/).first().waitFor({ state: 'detached' });
    expect([page.url(), await violationsOf(page)]).toEqual([page.url(), []]);
  };
  const row = (page: Page, table: string, text: string) =>
    page.getByRole('group', { name: table, exact: true }).getByRole('row').filter({ hasText: text });

  test('people, teams, tokens, budgets, keys and secrets are kept, and the audit log tells of each', async () => {
    const page = await visit('/people', { dark: true });
    await page.getByLabel('Handle').fill('No Good');
    await page.getByRole('button', { name: 'Add and get the link' }).click();
    await page.getByText('small letters, digits').first().waitFor();
    await page.getByLabel('Handle').fill('grace');
    await page.getByRole('button', { name: 'Add and get the link' }).click();
    const link = await page.getByRole('region', { name: 'A link for grace' }).locator('code').innerText();
    await page.getByLabel('Team', { exact: true }).fill('compilers');
    await page.getByRole('button', { name: 'Add team' }).click();
    await page.getByLabel('Who joins compilers').selectOption('grace');
    await page.getByLabel('As what in compilers').selectOption('viewer');
    await page.getByRole('button', { name: 'Set', exact: true }).click();
    await page.getByRole('button', { name: 'Take grace out of compilers' }).waitFor();
    await page.getByLabel('What it is for').fill('ci');
    await page.getByRole('checkbox', { name: /^manage/ }).uncheck();
    await page.getByRole('checkbox', { name: /^read/ }).check();
    await page.getByRole('button', { name: 'Make token' }).click();
    const secret = await page.getByRole('region', { name: 'The token ci' }).locator('code').innerText();
    await accessible(page);
    await page.getByRole('button', { name: 'Put it away' }).last().click();
    expect(await page.content()).not.toContain(secret);
    await page.getByRole('button', { name: 'Revoke ci' }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Revoke' }).click();
    await row(page, 'Your tokens', 'ci').waitFor({ state: 'detached' });

    await page.goto(`${server.url}/usage`);
    await page.getByLabel('Whose budget').selectOption('grace');
    await page.getByLabel('All sessions together: dollars').fill('25');
    await page.getByRole('button', { name: 'Save budget' }).click();
    await page.getByText('The budget of grace is saved').waitFor();
    expect((await client.budgets.ofUser('grace')).budget).toEqual({ user: { usd: 25 } });
    await accessible(page);

    await page.goto(`${server.url}/keys`);
    await page.getByLabel('Key name').fill('work');
    await page.getByLabel('The key', { exact: true }).fill('sk-model-canary');
    await page.getByRole('button', { name: 'Add key' }).click();
    await row(page, 'Model keys', 'work').waitFor();
    await page.getByLabel('Secret name').fill('tracker');
    await page.getByLabel('Hosts', { exact: true }).fill('*.tracker.example');
    await page.getByLabel('Value').fill('service-canary');
    await page.getByRole('button', { name: 'Set secret' }).click();
    await page.getByText('a whole name').waitFor();
    await page.getByLabel('Hosts', { exact: true }).fill('api.tracker.example');
    await page.getByRole('button', { name: 'Set secret' }).click();
    await row(page, 'Secrets', 'api.tracker.example').waitFor();
    expect(await page.content()).not.toMatch(/canary/);
    expect(await page.getByLabel('The key', { exact: true }).inputValue()).toBe('');
    await accessible(page);
    await page.getByRole('button', { name: 'Delete work' }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Delete the key' }).click();
    await row(page, 'Model keys', 'work').waitFor({ state: 'detached' });

    await page.goto(`${server.url}/audit`);
    await page.getByLabel('Action').selectOption('user.*');
    await page.getByRole('button', { name: 'Filter' }).click();
    await row(page, 'Audit log', 'grace').waitFor();
    expect(await page.getByRole('row').count()).toBe(2);
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Export what matches' }).click();
    const lines = readFileSync(await (await download).path(), 'utf8').trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { action: string }).action)).toEqual(['user.added']);
    await page.getByRole('button', { name: 'Verify the chain' }).click();
    await page.getByText(/^Intact: all \d+ entries/).waitFor();
    await accessible(page);

    // Who the link signs in sees what is theirs, and is told what is not for them.
    const grace = await newVisitor(browser, server.url);
    visitors.push(grace);
    await grace.page.goto(link);
    await grace.page.getByRole('heading', { name: 'New session' }).waitFor();
    await grace.page.goto(`${server.url}/people`);
    await grace.page.getByRole('heading', { name: 'compilers' }).waitFor();
    expect(await grace.page.getByRole('button', { name: 'Add and get the link' }).count()).toBe(0);
    expect(await grace.page.getByRole('link', { name: 'Audit' }).count()).toBe(0);
    await grace.page.goto(`${server.url}/audit`);
    await grace.page.getByText('This is for the owners').waitFor();
    await accessible(grace.page);
  });

  test('a session is shared, a host allowed and a limit set from beside the conversation', async () => {
    const { signIn } = await client.users.add({ handle: 'alan' });
    await client.teams.add({ name: 'logic' });
    await client.teams.setMember('logic', 'alan', 'member');
    const page = await visitSession();
    await page.getByRole('button', { name: 'More about this session' }).click();
    await page.getByRole('menuitem', { name: 'Share…' }).click();
    await page.getByLabel('With', { exact: true }).selectOption('team logic');
    await page.getByRole('checkbox', { name: /^Answer/ }).check();
    await page.getByRole('button', { name: 'Share', exact: true }).click();
    await page.getByRole('button', { name: 'Remove logic' }).waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await page.getByRole('button', { name: 'Close' }).click();
    const alan = await newVisitor(browser, server.url);
    visitors.push(alan);
    await alan.page.goto(signIn.url);
    await alan.page.getByRole('region', { name: 'Sessions' }).getByRole('link').filter({ hasText: 'scripted' }).first().click();
    // Looking and answering is what is shared: the prompt is there only until the page knows that.
    await alan.page.getByText('You may look at this session').waitFor();
    expect(await alan.page.getByRole('textbox', { name: 'Prompt' }).count()).toBe(0);

    const ask = "require('node:http').get({ host: '127.0.0.1', port: 8079, path: 'http://refused.example/' }, (r) => r.resume())";
    await client.sessions.exec(session.id, { argv: ['/berth/runner/bin/node', '-e', ask] });
    await page.getByRole('button', { name: 'Show the workspace' }).click();
    const workspace = page.getByRole('region', { name: 'Workspace' });
    await workspace.getByRole('tab', { name: 'Network' }).click();
    await workspace.getByRole('button', { name: 'Allow refused.example' }).click();
    await page.getByText('refused.example is allowed').waitFor();
    expect((await client.egress.get(session.id)).policy.allow).toContain('refused.example');
    await accessible(page);
    await workspace.getByRole('tab', { name: 'Usage' }).click();
    await workspace.getByLabel("This session's own limits: turns").fill('500');
    await workspace.getByRole('button', { name: 'Save limits' }).click();
    await workspace.getByRole('meter', { name: 'Turns, this session' }).waitFor();
    await accessible(page);
  });
});

describe('what is hostile', () => {
  test('HTML, SVG, Markdown, escapes and names are text; nothing runs, loads or leads away', async () => {
    const page = await visitSession();
    await client.sessions.exec(session.id, {
      argv: [
        'sh',
        '-c',
        `cd "${session.cwd}" && printf x > '<img src=x onerror=reportWrong(1)>.txt' && printf x > "$(printf 'bidi\\342\\200\\256txt.exe')" && printf '<svg onload="reportWrong(1)"/>' > evil.svg`,
      ],
    });
    await serveEvents(page, session.id, hostileEvents());
    await page.reload();
    await page.getByRole('region', { name: 'Permission wanted' }).waitFor();
    // However often rows change their height until they are drawn, the page ends up at the end.
    const fromEndPx = () => log(page).evaluate((box) => Math.round(box.scrollHeight - box.scrollTop - box.clientHeight));
    await expect.poll(fromEndPx, { timeout: 15_000 }).toBeLessThanOrEqual(1);
    await log(page)
      .getByRole('button', { name: /onerror/, expanded: false })
      .first()
      .click();
    await page.getByRole('button', { name: 'Show the workspace' }).click();
    const workspace = page.getByRole('region', { name: 'Workspace' });
    await workspace.getByRole('tab', { name: 'Changes' }).click();
    await workspace.getByRole('button', { name: /onerror/ }).waitFor();
    await workspace.getByRole('tab', { name: 'Files' }).click();
    await workspace.getByRole('button', { name: /evil\.svg/ }).click();
    await workspace.getByText('onload').first().waitFor();
    await workspace.getByRole('tab', { name: 'Git' }).click();
    await workspace.getByText('Pull request #1').waitFor();

    expect(await foundIn(page)).toEqual(nothingFound);
    // The answer that allows is the one the key allows by, whatever it is called.
    const allowing = page.getByRole('button', { name: /^No / });
    expect(await allowing.getAttribute('title')).toBe('allows it once');
  });
});

describe('the page itself', () => {
  test('ten thousand events: the end is in sight, and only what is in sight is drawn', async () => {
    const page = await visitSession();
    await page.evaluate(() => localStorage.setItem('berth.workspace', 'closed'));
    await serveEvents(page, session.id, [...longConversation(10_000), askedAboutEdit()]);
    await page.reload();
    await log(page).getByText('Tool 9999').waitFor();
    expect(await log(page).locator('[data-index]').count()).toBeLessThan(60);
    // A narrower pane makes rows taller; the answers stay in sight.
    const belowPx = async () => {
      const boxes = await Promise.all([log(page), page.getByRole('button', { name: /^Reject/ })].map((each) => each.boundingBox()));
      return boxes[1]!.y + boxes[1]!.height - boxes[0]!.y - boxes[0]!.height;
    };
    for (const press of ['Show', 'Hide'] as const) {
      await page.getByRole('button', { name: `${press} the workspace` }).first().click();
      await page.waitForLoadState('networkidle');
      await expect.poll(belowPx, { timeout: 15_000 }).toBeLessThan(0);
    }
    await log(page).focus();
    const first = log(page).getByText('Tool 1', { exact: true });
    await expect
      .poll(
        async () => {
          await page.keyboard.press('Home');
          return first.isVisible();
        },
        { timeout: 15_000 },
      )
      .toBe(true);
    await page.getByRole('button', { name: 'To the end' }).click();
    await log(page).getByText('Tool 9999').waitFor();
  });

  test('a session view needs less than 250 kB of compressed script and style to begin', () => {
    expect(firstLoadBytes() / 1000).toBeLessThan(250);
  });
});
