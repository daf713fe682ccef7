import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Session } from '../../src/sdk/index.ts';
import { createForge } from '../fixtures/forge/index.ts';
import { createInstallation, root, type TestInstallation, type TestServer } from './harness.ts';
import { runTurn, scriptedSession } from './scripted.ts';
import { violationsOf } from './web/axe.ts';
import { launchBrowser } from './web/browser.ts';
import { createPeople, type People } from './web/people.ts';

/** From a session's work to a pull request and to other sessions, and what an owner runs the installation with. */
const widgets = 'acme/widgets';
const slow = { timeout: 15_000 };

let forge: Awaited<ReturnType<typeof createForge>>;
let installation: TestInstallation;
let server: TestServer;
let browser: Browser;
let people: People;
let session: Session;
let made: string;

beforeAll(async () => {
  execFileSync(join(root, 'scripts/build-web.sh'), { stdio: 'pipe' });
  made = mkdtempSync(join(tmpdir(), 'berth-web-'));
  forge = await createForge();
  installation = await createInstallation({
    BERTH_GITHUB_API_URL: forge.apiUrl,
    BERTH_GITHUB_URL: forge.url,
    BERTH_GITHUB_PACING: 'off',
    BERTH_SLOTS: '4',
  });
  [server, browser] = await Promise.all([installation.start(), launchBrowser()]);
  people = createPeople(browser, server);
  const { id: appId, privateKey } = forge.app;
  const registered = await fetch(`${server.url}/api/github/app`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ appId, privateKey, webhookSecret: forge.webhookSecret, apiUrl: forge.apiUrl }),
  });
  expect(registered.status).toBe(201);
  session = await scriptedSession(server.client, { repository: forge.gitUrl('acme', 'widgets'), title: 'Greet' });
});
afterAll(async () => {
  await browser?.close();
  await installation?.remove();
  expect(forge.violations).toEqual([]);
  await forge.close();
  rmSync(made, { recursive: true, force: true });
});
afterEach(() => people.leave());

const workspaceOf = (page: Page) => page.getByRole('region', { name: 'Workspace' });
const question = (page: Page) => page.getByRole('alertdialog');
const accessible = async (page: Page): Promise<void> => {
  await page.getByText(/…$/).first().waitFor({ state: 'detached' });
  expect([page.url(), await violationsOf(page)]).toEqual([page.url(), []]);
};
const row = (page: Page, table: string, text: string) =>
  page.getByRole('group', { name: table, exact: true }).getByRole('row').filter({ hasText: text });

test('the branch becomes a pull request, once, and what is new goes to it', async () => {
  const { client } = server;
  await runTurn(client, session.id, 'write hello.txt hello\\n');
  const page = await people.visit(`/sessions/${session.id}`);
  await page.getByRole('button', { name: 'Show the workspace' }).click();
  const workspace = workspaceOf(page);
  await workspace.getByRole('tab', { name: 'Git' }).click();
  await workspace.getByText('1 file differs from main').waitFor();
  await workspace.getByRole('button', { name: 'Create pull request' }).click();
  await accessible(page);
  await workspace.getByLabel('Into the branch').fill('no-such-branch');
  await workspace.getByRole('button', { name: 'Push and create' }).click();
  await workspace.getByText('has no branch no-such-branch').waitFor();
  await workspace.getByLabel('Into the branch').fill('main');
  await workspace.getByLabel('Title').fill('Greet everybody');
  await workspace.getByLabel('Description').fill('So that they know.');
  await workspace.getByRole('button', { name: 'Push and create' }).click();
  const open = workspace.getByRole('link', { name: 'open' });
  await open.waitFor();
  const [pull, ...others] = forge.state.pulls(widgets);
  expect(others).toEqual([]);
  expect(pull).toMatchObject({ base: 'main', head: session.branch, issue: { title: 'Greet everybody', body: 'So that they know.' } });
  expect(await open.getAttribute('href')).toContain(`/acme/widgets/pull/${pull!.issue.number}`);
  expect(await forge.readFile(widgets, pull!.head, 'hello.txt')).toBe('hello\n');
  await workspace.getByText('all pushed').waitFor();
  await accessible(page);

  await runTurn(client, session.id, 'write hello.txt HELLO\\n');
  await workspace.getByRole('button', { name: 'Push what is new to it' }).click();
  await page.getByText('has what was new').waitFor();
  expect(await forge.readFile(widgets, pull!.head, 'hello.txt')).toBe('HELLO\n');
  expect(forge.state.pulls(widgets)).toHaveLength(1);
});

test('snapshots stand in the conversation, and are where another session begins', async () => {
  const { client } = server;
  await runTurn(client, session.id, 'say Nothing is kept of this.');
  await runTurn(client, session.id, 'write hello.txt HELLO\\n');
  const page = await people.visit(`/sessions/${session.id}`);
  const log = page.getByRole('log', { name: 'Conversation' });
  await page.getByRole('button', { name: 'More about this session' }).click();
  await page.getByRole('menuitem', { name: 'Snapshots…' }).click();
  await page.getByLabel('Snapshot name').fill('no good');
  await page.getByRole('button', { name: 'Take a snapshot' }).click();
  await page.getByText('at most 100').waitFor();
  await page.getByLabel('Snapshot name').fill('greeted');
  await page.getByRole('button', { name: 'Take a snapshot' }).click();
  await page.getByRole('list', { name: 'Snapshots' }).getByText('greeted').waitFor();
  await accessible(page);
  await page.getByRole('button', { name: 'Close' }).click();
  await runTurn(client, session.id, 'write hello.txt later\\n');
  await log.getByText('Snapshot greeted').waitFor();
  await accessible(page);

  // Another turn came after it, and no snapshot between.
  const here = log.getByRole('button', { name: 'Fork from here', exact: true });
  await here.first().click();
  await page.getByText('This turn cannot be forked').waitFor();
  await page.getByText('No snapshot was taken after it').waitFor();
  await page.getByRole('button', { name: 'Close' }).click();

  await log.getByRole('button', { name: 'Fork from here: greeted' }).click();
  await page.waitForURL((url) => url.pathname.startsWith('/sessions/') && !url.pathname.endsWith(session.id));
  const fork = page.url().split('/').at(-1)!;
  expect(await textAt(fork)).toBe('HELLO\n');
  expect(await textAt(session.id)).toBe('later\n');
  await accessible(page);
  await page.getByText('forked from').first().waitFor();
  await page.getByRole('main').getByRole('link', { name: 'Greet' }).click();
  await page.waitForURL(`**/sessions/${session.id}`);
  // Its own conversation, not the fork's, which the address leaves first.
  await log.getByText('write hello.txt later').waitFor();

  // The end of the last turn is the present.
  await here.last().click();
  await page.waitForURL((url) => ![session.id, fork].some((id) => url.pathname.endsWith(id)));
  expect(await textAt(page.url().split('/').at(-1)!)).toBe('later\n');

  // What cannot be undone is asked for, and the keyboard stands on no.
  await page.goto(`${server.url}/sessions/${session.id}`);
  await page.getByRole('button', { name: 'More about this session' }).click();
  await page.getByRole('menuitem', { name: 'Snapshots…' }).click();
  await page.getByRole('button', { name: 'Remove greeted' }).click();
  await question(page).getByText('Sessions that were forked from it stay').waitFor();
  expect(await violationsOf(page)).toEqual([]);
  await page.keyboard.press('Enter');
  await question(page).waitFor({ state: 'detached' });
  expect(await client.snapshots.list({ session: session.id })).toHaveLength(1);
  await page.getByRole('button', { name: 'Remove greeted' }).click();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByText('There is no snapshot of it yet').waitFor();
  await page.getByRole('button', { name: 'Close' }).click();
  await log.getByText('removed, or not yours').waitFor();

  async function textAt(id: string): Promise<string> {
    return new TextDecoder().decode(await new Response(await client.sessions.files.read(id, `${session.cwd}/hello.txt`)).bytes());
  }
});

test('a template is built with its log in sight, chosen for a session, and removed', async () => {
  mkdirSync(join(made, 'root/etc'), { recursive: true });
  writeFileSync(join(made, 'root/etc/os-release'), 'ID=tiny\n');
  const page = await people.visit('/templates', { dark: true });
  await row(page, 'Templates', 'default').getByText('oci').waitFor();
  await page.getByLabel('Template name').fill('No Good');
  await page.getByLabel('Built from').fill(join(made, 'root'));
  await page.getByRole('button', { name: 'Build', exact: true }).click();
  await page.getByText('lower-case letters').first().waitFor();
  await page.getByLabel('Template name').fill('tiny');
  await page.getByRole('button', { name: 'Build', exact: true }).click();
  await expect.poll(() => page.getByRole('log', { name: 'Log of the job' }).innerText(), slow).toMatch(/git/);
  await row(page, 'Templates', 'tiny').getByText('oci').waitFor();
  await page.getByText('done', { exact: true }).waitFor();
  await accessible(page);
  await page.getByRole('link', { name: 'New session', exact: true }).click();
  await page.getByRole('combobox', { name: 'Template' }).selectOption('tiny');
  await accessible(page);
  await page.goto(`${server.url}/templates`);
  await page.getByRole('button', { name: 'Remove tiny' }).click();
  await question(page).getByRole('button', { name: 'Remove the template' }).click();
  await row(page, 'Templates', 'tiny').waitFor({ state: 'detached' });
});

test('the network of all sessions, quotas, hosts, and a session put away', async () => {
  const { client } = server;
  const ask = "require('node:http').get({ host: '127.0.0.1', port: 8079, path: 'http://wanted.example/' }, (r) => r.resume())";
  await client.sessions.exec(session.id, { argv: ['/berth/runner/bin/node', '-e', ask] });
  const page = await people.visit('/network');
  await page.getByLabel('Answer').selectOption('refused');
  await page.getByLabel('Host').fill('WANTED');
  await page.getByRole('button', { name: 'Filter' }).click();
  await row(page, 'Connections', 'wanted.example').waitFor();
  await accessible(page);
  await page.getByRole('button', { name: 'Allow wanted.example' }).click();
  await row(page, 'Connections', 'allowed since').waitFor();
  expect((await client.egress.get(session.id)).policy.allow).toContain('wanted.example');
  await page.getByLabel('Host').fill('no-such-host');
  await page.getByRole('button', { name: 'Filter' }).click();
  await page.getByText('Nothing matches').waitFor();

  await client.users.add({ handle: 'grace' });
  await page.goto(`${server.url}/people`);
  await page.getByLabel('Whose quota').selectOption('user grace');
  const form = page.getByRole('form', { name: 'Quota of grace' });
  await form.getByRole('spinbutton', { name: 'Slots' }).fill('0');
  await form.getByRole('button', { name: 'Save quota' }).click();
  await form.getByText(/quota\.slots/).waitFor();
  await form.getByRole('spinbutton', { name: 'Slots' }).fill('2');
  await form.getByRole('spinbutton', { name: 'Disk in GiB' }).fill('1.5');
  await form.getByLabel('Highest priority').selectOption('normal');
  await form.getByRole('button', { name: 'Save quota' }).click();
  await page.getByText('The quota of grace is saved').waitFor();
  expect((await client.quotas.of({ kind: 'user', name: 'grace' })).quota).toEqual({ slots: 2, diskBytes: 1.5 * 1024 ** 3, priority: 'normal' });
  await accessible(page);

  await page.goto(`${server.url}/health`);
  await row(page, 'Hosts', 'this one').getByText('up').waitFor();
  await page.goto(`${server.url}/sandboxes`);
  await page.getByRole('img', { name: /^Disk, now/ }).first().waitFor();
  await accessible(page);

  await page.goto(`${server.url}/sessions/${session.id}`);
  await page.getByRole('button', { name: 'More about this session' }).click();
  await page.getByRole('menuitem', { name: 'Archive' }).click();
  const list = page.getByRole('region', { name: 'Sessions' });
  await list.getByRole('button', { name: 'Archived' }).click();
  await list.getByRole('link').filter({ hasText: 'Greet' }).first().waitFor();
  await expect.poll(async () => (await client.sessions.get(session.id)).archivedAt, slow).not.toBeNull();
  await page.getByRole('button', { name: 'More about this session' }).click();
  await page.getByRole('menuitem', { name: 'Delete…' }).click();
  await question(page).getByText('What was not pushed is gone').waitFor();
  await page.keyboard.press('Escape');
  await question(page).waitFor({ state: 'detached' });
  expect((await client.sessions.get(session.id)).id).toBe(session.id);
});
