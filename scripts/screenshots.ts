/**
 * Makes the pictures of docs/images from a real server, real sandboxes, the scripted agent, and Claude Code with a model that
 * plays a script:
 *   node scripts/screenshots.ts
 * Needs what `scripts/setup.sh test` installs.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Page } from 'playwright-core';
import type { BerthClient, Session } from '../src/sdk/index.ts';
import { createInstallation } from '../test/e2e/harness.ts';
import { scriptedSession } from '../test/e2e/scripted.ts';
import { createModelServer } from '../test/fixtures/model-server/index.ts';
import { launchBrowser, newVisitor, type VisitorOptions } from '../test/e2e/web/browser.ts';

const root = resolve(import.meta.dirname, '..');
const images = join(root, 'docs/images');

const work = [
  'think The replacement uses a string, and a string pattern replaces only the first match. A regular expression with the g flag would take every run of white space.',
  'say `String.replace` with a string replaces only the **first** match, so only one space becomes a dash. I will fix that and run the tests.',
  'plan +Find out why the test fails;>Fix src/slug.js;Run the tests',
  'write src/slug.js export function slug(text) {\\n  return text.trim().toLowerCase().replace(/\\s+/g, "-");\\n}\\n',
  'plan +Find out why the test fails;+Fix src/slug.js;>Run the tests',
  'ask node --test',
].join('\n');

function makeRepository(): string {
  const dir = join(mkdtempSync(join(tmpdir(), 'berth-shots-')), 'acme', 'slug');
  mkdirSync(join(dir, 'src'), { recursive: true });
  writeFileSync(join(dir, 'README.md'), '# slug\n\nMakes addresses of titles.\n');
  writeFileSync(
    join(dir, 'src/slug.js'),
    'export function slug(text) {\n  return text.toLowerCase().replace(" ", "-");\n}\n',
  );
  const git = (...args: string[]) => execFileSync('git', args, { cwd: dir, stdio: 'pipe' });
  git('init', '-q', '-b', 'main');
  git('add', '-A');
  git('-c', 'user.email=ada@example.test', '-c', 'user.name=Ada', 'commit', '-qm', 'Add slug');
  return dir;
}

async function untilAsking(client: BerthClient, id: string): Promise<void> {
  for await (const event of client.sessions.events(id)) if (event.type === 'permission.requested') return;
}

execFileSync(join(root, 'scripts/build-web.sh'), { stdio: 'inherit' });
mkdirSync(images, { recursive: true });
const repository = makeRepository();
const modelKey = 'sk-for-the-pictures';
const model = await createModelServer({
  key: modelKey,
  script: { rules: [{ when: { prompt: /./ }, steps: [{ usage: { inputTokens: 38_200, outputTokens: 1_450 } }, { text: 'It makes addresses of titles.' }] }] },
});
const installation = await createInstallation({
  BERTH_SLOTS: '2',
  ANTHROPIC_BASE_URL: model.url,
  ANTHROPIC_API_KEY: modelKey,
  BERTH_PRICES: join(root, 'docs/examples/prices.json'),
});
const browser = await launchBrowser();
try {
  const server = await installation.start();
  const { client } = server;
  const session: Session = await scriptedSession(client, { repository: `file://${repository}` });
  await client.users.add({ handle: 'ada' });
  await client.teams.add({ name: 'compilers' });
  await client.teams.setMember('compilers', 'ada', 'member');
  const asked = await client.prompt({
    agent: 'claude',
    repository: `file://${repository}`,
    title: 'What does this project do?',
    prompt: 'What does this project do?',
  });
  await client.sessions.waitForTurn(asked.sessionId, asked.turnId);
  await client.shares.set(asked.sessionId, { kind: 'team', name: 'compilers' }, ['prompt']);
  await client.sessions.prompt(session.id, work);
  await untilAsking(client, session.id);
  const shoot = async (
    name: string,
    path: string,
    options: VisitorOptions,
    prepare: (page: Page) => Promise<void>,
  ): Promise<void> => {
    const { context, page } = await newVisitor(browser, server.url, options);
    await context.request.post(`${server.url}/api/login`, {
      data: { token: server.token },
      headers: { origin: server.url },
    });
    await page.goto(server.url + path);
    await prepare(page);
    await page.waitForLoadState('networkidle').catch(() => undefined);
    await page.screenshot({ path: join(images, `${name}.png`) });
    await context.close();
  };
  const asking = (page: Page): Promise<void> => page.getByRole('region', { name: 'Permission wanted' }).waitFor();
  await shoot('session', `/sessions/${session.id}`, { width: 1280, height: 760 }, async (page) => {
    await asking(page);
    await page.getByRole('button', { name: 'Show the workspace' }).click();
    await page
      .getByRole('region', { name: 'Workspace' })
      .getByRole('group', { name: 'Changes of src/slug.js' })
      .waitFor();
  });
  await shoot('phone', `/sessions/${session.id}`, { width: 390, height: 760, dark: true }, asking);

  // The one that asks gives its slot up, and is woken by the answer; a third waits.
  const busy = { agent: 'shell', prompt: 'npm test; sleep 600' };
  await client.prompt({ ...busy, title: 'Watch the tests' });
  await client.prompt({ ...busy, title: 'Update the dependencies' });
  await client.prompt({ ...busy, title: 'Draft the release notes' });
  const desk = { width: 1280, height: 760 };
  const of = (page: Page, name: string) => page.getByRole('heading', { name, level: 1 }).waitFor();
  await shoot('queue', '/queue', desk, async (page) => {
    await of(page, 'Queue');
    await page.getByRole('main').getByText('Draft the release notes').waitFor();
  });
  await shoot('usage', '/usage', { ...desk, dark: true }, async (page) => {
    await of(page, 'Usage');
    await page.getByRole('main').getByRole('row').nth(1).waitFor();
  });
  await shoot('audit', '/audit', desk, async (page) => {
    await of(page, 'Audit');
    await page.getByRole('main').getByRole('row').nth(1).waitFor();
  });
} finally {
  await browser.close();
  await installation.remove();
  await model.close();
  rmSync(resolve(repository, '../..'), { recursive: true, force: true });
}
