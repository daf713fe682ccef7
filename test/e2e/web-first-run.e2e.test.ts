import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createModelServer } from '../fixtures/model-server/index.ts';
import { createInstallation, root, type TestInstallation } from './harness.ts';
import { violationsOf } from './web/axe.ts';
import { launchBrowser, newVisitor } from './web/browser.ts';
import { makeRepository } from './web/made-repository.ts';

const realKey = 'sk-the-first-key';

let model: Awaited<ReturnType<typeof createModelServer>>;
let installation: TestInstallation;
let browser: Browser;
let repository: string;

beforeAll(async () => {
  execFileSync(join(root, 'scripts/build-web.sh'), { stdio: 'pipe' });
  repository = makeRepository({ 'src/widget.ts': 'export const size = 1;\n' });
  model = await createModelServer({
    key: realKey,
    script: {
      rules: [
        {
          when: { prompt: /make the file/ },
          steps: [
            { text: 'I will write it, **then** copy it.' },
            { tool: 'write', path: 'src/made.ts', content: 'export const made = "by the model";\n' },
            { tool: 'bash', command: 'cp src/made.ts src/copied.ts && wc -c src/copied.ts' },
            { text: 'It is done.' },
          ],
        },
        { when: { prompt: /how many/ }, steps: [{ text: 'This is turn {{turn}}.' }] },
      ],
    },
  });
  // No key in the environment: the person who comes first brings it.
  installation = await createInstallation();
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await installation?.remove();
  await model?.close();
  rmSync(repository, { recursive: true, force: true });
});

test('from an empty machine to an answer of Claude Code: the printed link, a key, a repository, two permissions, the diff', async () => {
  const server = await installation.start();
  const { page, context, wrong } = await newVisitor(browser, server.url);
  await page.goto(server.signInUrl);
  await page.getByRole('heading', { name: 'New session' }).waitFor();

  // What is missing is said before anything can fail of it, and the way round it is one click away.
  await page.getByRole('note').getByText('needs a key for its model').waitFor();
  expect(await violationsOf(page)).toEqual([]);
  await page.getByRole('button', { name: 'Use the shell' }).click();
  await page.getByRole('note').waitFor({ state: 'detached' });
  await page.getByLabel('Agent').selectOption('claude');
  await page.getByRole('link', { name: 'Add a key' }).click();
  await page.getByLabel('Key name').fill('mine');
  await page.getByLabel('The key', { exact: true }).fill(realKey);
  await page.getByLabel('Address').fill(model.url);
  await page.getByRole('button', { name: 'Add key' }).click();
  await page.getByRole('group', { name: 'Model keys', exact: true }).getByRole('row').filter({ hasText: 'mine' }).waitFor();

  await page.getByRole('link', { name: 'New session' }).first().click();
  await page.getByLabel('What should be done?').fill('Please make the file.');
  await page.getByLabel('Repository').fill(`file://${repository}`);
  await page.getByLabel('Agent').selectOption('claude');
  await page.getByLabel('Permissions').selectOption('ask');
  expect(await page.getByRole('note').count()).toBe(0);
  await page.getByRole('button', { name: 'Start session' }).click();
  await page.waitForURL('**/sessions/ses_*');

  // The first answer streams while the turn runs; its question outlives a reload, and is answered by a click.
  const log = page.getByRole('log', { name: 'Conversation' });
  const asked = page.getByRole('region', { name: 'Permission wanted' });
  await asked.getByText('made.ts').first().waitFor({ timeout: 120_000 });
  await log.getByText('I will write it, then copy it.').waitFor();
  expect(await log.locator('strong').innerText()).toBe('then');
  await page.reload();
  await asked.getByText('made.ts').first().waitFor();
  expect(await violationsOf(page)).toEqual([]);
  await asked.getByRole('button', { name: /\(allows it once\)$/ }).click();

  // The second one by its key, once the first one's edit is looked at.
  await asked.getByText(/cp src\/made\.ts/).first().waitFor({ timeout: 60_000 });
  await page.getByRole('button', { name: 'Show the workspace' }).click();
  const changes = page.getByRole('group', { name: 'Changes of src/made.ts' });
  await changes.getByText('by the model').waitFor({ timeout: 60_000 });
  await changes.locator('.hljs-keyword').first().waitFor();
  expect(await violationsOf(page)).toEqual([]);
  await log.focus();
  await page.keyboard.press('y');
  await log.getByText('It is done.').waitFor({ timeout: 60_000 });
  await page.getByRole('group', { name: 'Changes of src/copied.ts' }).waitFor();

  const box = page.getByRole('textbox', { name: 'Prompt' });
  await box.fill('And how many turns is that?');
  await box.press('Enter');
  await log.getByText('This is turn 2.').waitFor({ timeout: 60_000 });

  // The repository is offered from now on, and no page ever saw the key again.
  expect(await page.content()).not.toContain(realKey);
  await page.getByRole('link', { name: 'New session' }).first().click();
  await page.locator(`datalist option[value="file://${repository}"]`).waitFor({ state: 'attached' });
  expect(model.requests.filter(({ purpose }) => purpose === 'turn').every(({ key }) => key === realKey)).toBe(true);
  await context.close();
  expect(wrong).toEqual([]);
});
