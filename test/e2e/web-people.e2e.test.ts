import type { Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '../../src/sdk/index.ts';
import type { TestServer } from './harness.ts';
import { allEvents } from './scripted.ts';
import { violationsOf } from './web/axe.ts';
import type { People } from './web/people.ts';
import { openWidgets, type Widgets } from './web/widgets.ts';

let widgets: Widgets | undefined;
let server: TestServer;
let people: People;
let session: Session;

beforeAll(async () => {
  widgets = await openWidgets();
  ({ server, people, session } = widgets);
});

afterAll(() => widgets?.close());

/** Whatever a test does: no refusal of the content policy, no failed script, no dialog, no request to elsewhere. */
afterEach(() => people.leave());

const at = () => `/sessions/${session.id}`;
const log = (page: Page): Locator => page.getByRole('log', { name: 'Conversation' });
const asked = (page: Page): Locator => page.getByRole('region', { name: 'Permission wanted' });
const prompt = (page: Page): Locator => page.getByRole('textbox', { name: 'Prompt' });
const hold = (page: Page, text: string | RegExp): Promise<void> => log(page).getByText(text).last().waitFor();

describe('a prompt', () => {
  test('takes a command of the agent, names a file and brings a picture, each by keys; several terminals stay apart', async () => {
    const page = await people.visit(at());
    await prompt(page).fill('commands deploy;test\nsay ready');
    await prompt(page).press('Enter');
    await hold(page, 'ready');

    await prompt(page).pressSequentially('/dep');
    await page.getByRole('option', { name: '/deploy' }).waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await prompt(page).press('Tab');
    expect(await prompt(page).inputValue()).toBe('/deploy ');
    await prompt(page).fill('blocks\nsay of ');
    await prompt(page).pressSequentially('@siz');
    await page.getByRole('option', { name: 'src/size.ts' }).waitFor();
    await prompt(page).press('Enter');
    expect(await prompt(page).inputValue()).toBe('blocks\nsay of @src/size.ts ');
    const picker = page.locator('input[type=file]');
    await picker.setInputFiles({ name: 'evil.svg', mimeType: 'image/svg+xml', buffer: Buffer.from('<svg onload="reportWrong(1)"/>') });
    await page.getByText('is not a PNG, JPEG, GIF or WebP image').first().waitFor();
    const dot = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==', 'base64');
    await picker.setInputFiles({ name: 'dot.png', mimeType: 'image/png', buffer: dot });
    await page.getByRole('button', { name: 'Remove dot.png' }).waitFor();
    await prompt(page).press('Enter');
    await hold(page, /blocks: text, resource_link, image/);
    await log(page).getByRole('img', { name: 'Attached' }).waitFor();

    await page.getByRole('button', { name: 'Show the workspace' }).click();
    const workspace = page.getByRole('region', { name: 'Workspace' });
    await workspace.getByRole('tab', { name: 'Terminals' }).click();
    const screen = page.getByTestId('terminal').locator('.xterm-rows');
    for (const [index, name] of ['Open a terminal', 'Open another terminal'].entries()) {
      await workspace.getByRole('button', { name }).click();
      await workspace.getByRole('button', { name: `${index + 1} · shell`, pressed: true }).waitFor();
      await expect.poll(() => screen.innerText(), { timeout: 15_000 }).toContain('$');
      await page.keyboard.type(`echo in-$((${index} + 70))\n`);
      await expect.poll(() => screen.innerText(), { timeout: 15_000 }).toContain(`in-7${index}`);
    }
    await workspace.getByRole('button', { name: '1 · shell' }).click();
    await expect.poll(() => screen.innerText(), { timeout: 15_000 }).toContain('in-70');
    expect(await screen.innerText()).not.toContain('in-71');
    for (const left of [1, 0]) {
      await workspace.getByRole('button', { name: 'End this terminal' }).click();
      await expect.poll(() => workspace.getByRole('button', { name: /· shell$/ }).count(), { timeout: 15_000 }).toBe(left);
    }
  });
});

describe('three people at one session', () => {
  test('one works in it by a share, one only looks, and the owner, who looks elsewhere, is told and answers', async () => {
    const owner = await people.visit('/queue', { prepare: listenForNotifications });
    const [ben, vera] = await Promise.all([people.invite('ben', '/'), people.invite('vera', '/')]);
    for (const stranger of [ben, vera]) {
      await stranger.goto(server.url + at());
      await stranger.getByText(/no session|not found/i).first().waitFor();
    }
    await server.client.shares.set(session.id, { kind: 'user', name: 'ben' }, ['prompt']);
    await server.client.shares.set(session.id, { kind: 'user', name: 'vera' }, ['view']);
    await Promise.all([ben, vera].map((page) => page.goto(server.url + at())));

    await prompt(ben).fill('say from ben\nask May I?\nsay thank you');
    await prompt(ben).press('Enter');
    for (const page of [ben, vera]) {
      await asked(page).getByText('May I?').first().waitFor();
      // Neither may answer, so nothing is offered; nor does a key answer.
      await asked(page).getByText(/Somebody who may answer is asked/).waitFor();
      expect(await asked(page).getByRole('button').count()).toBe(0);
      await log(page).focus();
      await page.keyboard.press('y');
    }
    await vera.getByText('You may look at this session. To work in it, ask owner.').waitFor();
    expect(await prompt(vera).count()).toBe(0);
    expect(await violationsOf(vera)).toEqual([]);
    const offered = async (page: Page): Promise<string[]> => {
      await page.getByRole('button', { name: 'More about this session' }).click();
      const items = await page.getByRole('menuitem').allInnerTexts();
      await page.keyboard.press('Escape');
      return items.map((item) => item.trim());
    };
    expect(await offered(vera)).toEqual(['Copy the command to attach']);
    expect(await offered(ben)).toEqual(['Copy the command to attach', 'Fork', 'Snapshots…']);
    await vera.getByRole('button', { name: 'Show the workspace' }).click();
    await vera.getByRole('tab', { name: 'Files' }).waitFor();
    expect(await vera.getByRole('tab', { name: 'Terminals' }).count()).toBe(0);
    await vera.getByRole('tab', { name: 'Network' }).click();
    await vera.getByText('What it may connect to').waitFor();
    expect(await vera.getByRole('button', { name: 'Save policy' }).count()).toBe(0);
    await vera.getByRole('button', { name: 'Hide the workspace' }).first().click();
    expect((await allEvents(server.client, session.id)).filter((event) => event.type === 'permission.resolved')).toEqual([]);

    await expect.poll(() => notificationsOf(owner), { timeout: 20_000 }).toContainEqual(['Widgets', 'waits for your answer']);
    await owner.evaluate(() => (globalThis as unknown as { clickNotification: () => void }).clickNotification());
    await owner.waitForURL(`**${at()}`);
    await asked(owner).getByText('May I?').first().waitFor();
    await log(owner).focus();
    await owner.keyboard.press('y');
    for (const page of [owner, ben, vera]) {
      await hold(page, /→ Allow once · owner/);
      await hold(page, 'thank you');
    }
    await expect.poll(() => notificationsOf(owner), { timeout: 20_000 }).toContainEqual(['Widgets', 'is done']);

    const events = await allEvents(server.client, session.id);
    expect(events.filter((event) => event.type === 'permission.resolved').map((event) => event.data.by)).toEqual(['owner']);
    expect(events.flatMap((event) => (event.type === 'turn.queued' ? event.data.by : [])).at(-1)).toBe('ben');
    await server.client.shares.remove(session.id, { kind: 'user', name: 'vera' });
    await vera.reload();
    await vera.getByText(/no session|not found/i).first().waitFor();
  });
});

/** The page believes that it is out of sight; what it would tell the person is kept. */
async function listenForNotifications(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const shown: [string, string | undefined][] = [];
    let last: EventTarget | null = null;
    class Kept extends EventTarget {
      static permission = 'granted';
      static requestPermission = () => Promise.resolve('granted');
      constructor(title: string, options?: NotificationOptions) {
        super();
        shown.push([title, options?.body]);
        last = this;
      }
    }
    Object.assign(globalThis, { Notification: Kept, shownNotifications: shown, clickNotification: () => last?.dispatchEvent(new Event('click')) });
    document.hasFocus = () => false;
    Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
  });
}

function notificationsOf(page: Page): Promise<[string, string][]> {
  return page.evaluate(() => (globalThis as unknown as { shownNotifications: [string, string][] }).shownNotifications);
}
