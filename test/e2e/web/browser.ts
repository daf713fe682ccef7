import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';

/** Debian's own, without the window that nobody sees: half the work of the whole browser. Nothing is downloaded. */
const executablePath = '/usr/bin/chromium-headless-shell';

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A person's browser, and everything that must not happen in it. */
export interface Visitor {
  context: BrowserContext;
  page: Page;
  /** Refusals of the content policy, failures of scripts, dialogs, requests to other origins. */
  wrong: string[];
}

export interface VisitorOptions {
  width?: number;
  height?: number;
  dark?: boolean;
}

export async function newVisitor(browser: Browser, origin: string, options: VisitorOptions = {}): Promise<Visitor> {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1400, height: options.height ?? 900 },
    colorScheme: options.dark === true ? 'dark' : 'light',
    reducedMotion: 'reduce',
  });
  const wrong: string[] = [];
  await context.exposeFunction('reportWrong', (what: string) => void wrong.push(what));
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      const report = (globalThis as unknown as { reportWrong: (what: string) => void }).reportWrong;
      report(
        `policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`,
      );
    });
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => wrong.push(`script: ${error.message}`));
  page.on('dialog', (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http') && url.origin !== origin) wrong.push(`request: ${request.url()}`);
  });
  return { context, page, wrong };
}
