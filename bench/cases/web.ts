import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import type { Page } from 'playwright-core';
import { createInstallation, type TestServer } from '../../test/e2e/harness.ts';
import { launchBrowser, newVisitor } from '../../test/e2e/web/browser.ts';
import { firstLoadBytes } from '../../test/e2e/web/first-load.ts';
import { longConversation, said, serveEvents } from '../../test/e2e/web/made-events.ts';
import { compare, quantile, ratioOf, type Sample } from '../measure.ts';
import type { Row } from '../table.ts';
import { latencyMs, type Doing } from '../web-latency.ts';
import type { BenchCase } from './case.ts';

const goalBytes = 250_000;
const goalMs = 100;
const long = 10_000;
const short = 100;

/**
 * The session view in a real browser, against a real server, with a conversation of many events and with one of few, side by
 * side: what is done falls on both in turn. The events are made, everything else is the page's own.
 */
export const web: BenchCase = {
  name: 'web',
  needsDocker: false,
  async run({ quick, say }) {
    execFileSync(resolve(import.meta.dirname, '../../scripts/build-web.sh'), { stdio: 'pipe' });
    const installation = await createInstallation();
    const browser = await launchBrowser();
    try {
      const server = await installation.start();
      const open = async (count: number): Promise<Page> => {
        const { context, page } = await newVisitor(browser, server.url);
        await signIn(context.request, server);
        const { id } = await server.client.sessions.create({ agent: 'shell', title: `${count} events` });
        await serveEvents(page, id, longConversation(count));
        await page.goto(`${server.url}/sessions/${id}`);
        await page.getByRole('log', { name: 'Conversation' }).getByText(`Tool ${count - 1}`).waitFor();
        return page;
      };
      const pages = new Map([[long, await open(long)], [short, await open(short)]]);
      const rows = [bytesRow(firstLoadBytes())];
      for (const [what, doing] of Object.entries(doings)) {
        say(`web: ${what}`);
        const samples = await compare(
          [long, short].map((count) => ({ name: String(count), measureMs: () => once(pages.get(count)!, doing) })),
          { warmUp: 3, rounds: quick ? 10 : 50, pauseMs: 50 },
        );
        rows.push(latencyRow(what, samples.get(String(long))!, samples.get(String(short))!));
      }
      return rows;
    } finally {
      await browser.close();
      await installation.remove();
    }
  },
};

async function signIn(request: { post(url: string, options: object): Promise<unknown> }, server: TestServer): Promise<void> {
  await request.post(`${server.url}/api/login`, { data: { token: server.token }, headers: { origin: server.url } });
}

interface Interaction {
  before?: (page: Page) => Promise<unknown>;
  doing: (page: Page) => Doing;
  after?: (page: Page) => Promise<unknown>;
}

async function once(page: Page, { before, doing, after }: Interaction): Promise<number> {
  // A page that is not in front draws no pictures.
  await page.bringToFront();
  await before?.(page);
  const tookMs = await latencyMs(page, doing(page));
  await after?.(page);
  return tookMs;
}

const box = (page: Page) => page.getByRole('textbox', { name: 'Prompt' });
const palette = '[cmdk-root]';
const toggle = (page: Page) => page.getByRole('log').locator('button[aria-expanded]').last();

const doings: Record<string, Interaction> = {
  'typing a letter': {
    before: (page) => box(page).focus(),
    doing: (page) => ({ event: 'keydown', run: () => page.keyboard.press('a'), shows: null }),
  },
  'typing a letter while an answer streams': {
    before: async (page) => {
      await box(page).focus();
      await page.evaluate(
        (events) => {
          const { madeSockets } = globalThis as unknown as { madeSockets: { bring(events: unknown[]): void }[] };
          const timer = setInterval(() => madeSockets.at(-1)!.bring(events), 20);
          Object.assign(globalThis, { endStream: () => clearInterval(timer) });
        },
        [said('some more words of a longer answer, ')],
      );
    },
    doing: (page) => ({ event: 'keydown', run: () => page.keyboard.press('a'), shows: null }),
    after: (page) => page.evaluate(() => (globalThis as unknown as { endStream: () => void }).endStream()),
  },
  'opening a tool call': {
    before: async (page) => {
      await page.getByRole('log').press('End');
      if ((await toggle(page).getAttribute('aria-expanded')) === 'true') await toggle(page).click();
    },
    doing: (page) => ({ event: 'click', run: () => toggle(page).click(), shows: '[role=log] button[aria-expanded=true]' }),
    after: (page) => toggle(page).click(),
  },
  'turning the wheel': {
    before: (page) => page.getByRole('log').hover(),
    doing: (page) => ({ event: 'wheel', run: () => page.mouse.wheel(0, -240), shows: null }),
  },
  'switching a tab of the workspace': {
    before: async (page) => {
      const show = page.getByRole('button', { name: 'Show the workspace' });
      if (await show.isVisible()) await show.click();
      await page.getByRole('tab', { name: 'Network' }).click();
    },
    doing: (page) => ({
      event: 'keydown',
      run: () => page.keyboard.press('ArrowRight'),
      shows: '[role=tab][aria-selected=true][id$=usage]',
    }),
  },
  'opening the palette': {
    doing: (page) => ({ event: 'keydown', run: () => page.keyboard.press('Control+k'), shows: palette }),
    after: async (page) => {
      await page.keyboard.press('Escape');
      await page.locator(palette).waitFor({ state: 'detached' });
    },
  },
};

function bytesRow(bytes: number): Row {
  return {
    what: 'session view, script and style that its first picture waits for, compressed',
    berth: `${(bytes / 1000).toFixed(0)} kB`,
    against: '-',
    other: '-',
    ratio: '-',
    goal: `< ${goalBytes / 1000} kB`,
    met: bytes < goalBytes ? 'yes' : 'no',
  };
}

function latencyRow(what: string, many: Sample, few: Sample): Row {
  const p95 = quantile(many.timesMs, 0.95);
  const figure = ({ timesMs, medianMs }: Sample): string => `${medianMs.toFixed(0)} ms (p95 ${quantile(timesMs, 0.95).toFixed(0)})`;
  return {
    what: `${what}, ${long} events`,
    berth: figure(many),
    against: `the same with ${short} events`,
    other: figure(few),
    ratio: `${ratioOf(many, few).toFixed(2)}x`,
    goal: `p95 < ${goalMs} ms`,
    met: p95 < goalMs ? 'yes' : 'no',
  };
}
