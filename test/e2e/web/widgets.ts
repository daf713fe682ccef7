import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import type { Session } from '../../../src/sdk/index.ts';
import { createInstallation, root, type TestServer } from '../harness.ts';
import { scriptedSession } from '../scripted.ts';
import { launchBrowser } from './browser.ts';
import { makeRepository } from './made-repository.ts';
import { createPeople, type People } from './people.ts';

/** A server with a session of the scripted agent in a small repository, and people who look at it. */
export interface Widgets {
  server: TestServer;
  browser: Browser;
  people: People;
  /** Titled `Widgets`. */
  session: Session;
  close(): Promise<void>;
}

export async function openWidgets(): Promise<Widgets> {
  execFileSync(join(root, 'scripts/build-web.sh'), { stdio: 'pipe' });
  const repository = makeRepository({ 'README.md': '# Widget\n', 'src/size.ts': 'export const size = 1;\n' });
  const installation = await createInstallation({ BERTH_SLOTS: '3' });
  let browser: Browser | null = null;
  const close = async (): Promise<void> => {
    await browser?.close();
    await installation.remove();
    rmSync(repository, { recursive: true, force: true });
  };
  try {
    const [server, launched] = await Promise.all([installation.start(), launchBrowser()]);
    browser = launched;
    const session = await scriptedSession(server.client, { repository: `file://${repository}`, title: 'Widgets' });
    return { server, browser, people: createPeople(browser, server), session, close };
  } catch (error) {
    await close();
    throw error;
  }
}
