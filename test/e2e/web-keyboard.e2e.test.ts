import type { Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '../../src/sdk/index.ts';
import { violationsOf } from './web/axe.ts';
import type { People } from './web/people.ts';
import { openWidgets, type Widgets } from './web/widgets.ts';

let widgets: Widgets | undefined;
let people: People;
let session: Session;

beforeAll(async () => {
  widgets = await openWidgets();
  ({ people, session } = widgets);
});

afterAll(() => widgets?.close());

/** Whatever a test does: no refusal of the content policy, no failed script, no dialog, no request to elsewhere. */
afterEach(() => people.leave());

const at = () => `/sessions/${session.id}`;
const log = (page: Page): Locator => page.getByRole('log', { name: 'Conversation' });
const asked = (page: Page): Locator => page.getByRole('region', { name: 'Permission wanted' });
const hold = (page: Page, text: string | RegExp): Promise<void> => log(page).getByText(text).last().waitFor();

describe('without a mouse', () => {
  test('a session is started, followed, answered, its changes read, and another page reached; what has the focus is seen', async () => {
    const page = await people.visit('/queue');
    const { keyboard } = page;
    const unseen: string[] = [];
    const press = async (...keys: string[]): Promise<void> => {
      for (const key of keys) {
        await keyboard.press(key);
        if (key.endsWith('Tab')) unseen.push(...(await unseenFocus(page)));
      }
    };
    const until = async (key: string, reached: Locator): Promise<void> => {
      for (let steps = 0; steps < 60; steps++) {
        if (await reached.evaluate((element) => element === document.activeElement).catch(() => false)) return;
        await press(key);
      }
      throw new Error(`${key} does not reach ${String(reached)}`);
    };
    await page.getByRole('heading', { name: 'Queue', level: 1 }).waitFor();
    await press('c');
    await page.waitForURL('**/new');
    const what = page.getByLabel('What should be done?');
    await expect.poll(() => what.evaluate((element) => element === document.activeElement), { timeout: 15_000 }).toBe(true);
    await keyboard.type('echo "by keys alone"');
    await until('Tab', page.getByLabel('Agent'));
    await keyboard.type('Shell');
    await until('Tab', page.getByRole('button', { name: 'Start session' }));
    await press('Enter');
    await page.waitForURL('**/sessions/ses_*');
    await hold(page, 'by keys alone');
    await hold(page, /^Done/);

    await press('Control+k');
    await page.getByPlaceholder('Go to a session').waitFor();
    await keyboard.type('Widgets');
    await page.getByRole('option', { name: /Widgets/ }).first().waitFor();
    await press('Enter');
    await page.waitForURL(`**${at()}`);
    await page.getByRole('textbox', { name: 'Prompt' }).waitFor();
    await press('i');
    await keyboard.type('write src/size.ts export const size = 2;');
    await press('Shift+Enter');
    await keyboard.type('ask More?');
    await press('Enter');
    await asked(page).getByText('More?').first().waitFor();
    await until('Shift+Tab', log(page));
    await press('y');
    await asked(page).waitFor({ state: 'detached' });
    await hold(page, /^Done/);
    await press('w');
    const workspace = page.getByRole('region', { name: 'Workspace' });
    await until('Tab', workspace.getByRole('tab', { name: 'Changes' }));
    await workspace.getByRole('group', { name: 'Changes of src/size.ts' }).waitFor();
    for (const tab of ['Files', 'Terminals', 'Git']) {
      await press('ArrowRight');
      await workspace.getByRole('tab', { name: tab, selected: true }).waitFor();
    }
    await until('Tab', workspace.getByRole('button', { name: 'Hide the workspace' }));
    await press('Enter');
    await workspace.waitFor({ state: 'detached' });
    await press('Control+k');
    await page.getByPlaceholder('Go to a session').waitFor();
    await keyboard.type('health');
    await page.getByRole('option', { name: 'Health' }).waitFor();
    await press('Enter');
    await page.getByRole('heading', { name: 'Health', level: 1 }).waitFor();
    await press('Control+k');
    await page.getByPlaceholder('Go to a session').waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await keyboard.type('dark');
    await page.getByRole('option', { name: 'Dark' }).waitFor();
    await press('Enter');
    await expect.poll(() => page.evaluate(() => document.documentElement.dataset['theme']), { timeout: 15_000 }).toBe('dark');
    await press('/');
    expect(await page.getByRole('searchbox').evaluate((element) => element === document.activeElement)).toBe(true);
    expect([...new Set(unseen)]).toEqual([]);
  });
});

/** What has the focus and does not show it, by an outline, a ring or its caret. */
function unseenFocus(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const element = document.activeElement;
    if (element === null || element === document.body) return [];
    const shows = (each: Element): boolean => {
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(each);
      return (outlineStyle !== 'none' && outlineWidth !== '0px') || (boxShadow !== 'none' && boxShadow !== '');
    };
    const isText = /^(?:INPUT|TEXTAREA)$/.test(element.tagName);
    const isSplit = element.getAttribute('role') === 'separator';
    return shows(element) || isText || isSplit ? [] : [element.outerHTML.slice(0, 120)];
  });
}
