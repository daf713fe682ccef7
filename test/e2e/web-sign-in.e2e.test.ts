import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createCore, type Core } from '../../src/core/create-core.ts';
import type { Store } from '../../src/core/ports/store.ts';
import { createWorld } from '../../src/core/testing/doubles.ts';
import { signInSettings } from '../../src/core/users/sign-in/settings.ts';
import { createSignInService } from '../../src/core/users/sign-in/sign-in-service.ts';
import { listen, type HttpServer } from '../../src/main/http-server.ts';
import { openIdentityProviders } from '../../src/main/identity-providers.ts';
import { readWebFiles } from '../../src/main/web-files.ts';
import { createBerthClient, type BerthClient } from '../../src/sdk/index.ts';
import { createApp } from '../../src/server/app.ts';
import { createBrowserLogin, usedCodes } from '../../src/server/browser-login.ts';
import { accountSignInRoutes } from '../../src/server/routes/sign-in.ts';
import { webAppRoutes } from '../../src/server/web-app.ts';
import { createSecretBox } from '../../src/store/secret-box.ts';
import { createSqliteStore } from '../../src/store/sqlite.ts';
import { startOidcServer, type OidcServer } from '../fixtures/oidc.ts';
import { temporaryDirectory, type TemporaryDirectory } from '../fixtures/temporary-directory.ts';
import { violationsOf } from './web/axe.ts';
import { launchBrowser, newVisitor, type Visitor, type VisitorOptions } from './web/browser.ts';

/** The pages of signing in, in a real browser: the service is another site than Berth, as services are. */
let dir: TemporaryDirectory;
let oidc: OidcServer;
let store: Store;
let core: Core;
let server: HttpServer;
let origin: string;
let browser: Browser;
let program: BerthClient;
const visitors: Visitor[] = [];

beforeAll(async () => {
  execFileSync(join(import.meta.dirname, '../../scripts/build-web.sh'), { stdio: 'pipe' });
  dir = await temporaryDirectory('berth-sign-in-');
  oidc = await startOidcServer(() => [`${origin}/sign-in/corp/callback`]);
  store = await createSqliteStore({ path: ':memory:' });
  const { deps } = createWorld(store);
  core = createCore(deps);
  const { agents, installer, logger, clock } = deps;
  const settings = signInSettings.parse({
    oidc: [{ name: 'corp', label: 'Example Corp', issuer: oidc.issuer, clientId: oidc.clientId, allow: [{ domain: 'example.org' }] }],
  });
  const none = { current: async () => null, webUrl: async () => null };
  const signIn = createSignInService({
    store,
    box: await createSecretBox(join(dir.path, 'key')),
    clock,
    logger,
    accounts: core.accounts,
    providers: await openIdentityProviders({ settings, clientSecrets: new Map([['corp', oidc.clientSecret]]) }, none, clock),
  });
  const login = createBrowserLogin({ secret: new Uint8Array(32), now: () => new Date(), useUp: usedCodes(store) });
  const access = { login, publicUrl: () => null };
  const app = createApp(
    { core, store, agents, installer, logger, providerName: 'memory', version: '0', report: async () => [], browser: access },
    { public: [accountSignInRoutes({ signIn, browser: access, logger }), webAppRoutes(await readWebFiles())] },
  );
  server = await listen(app, '127.0.0.1', 0);
  origin = server.url.replace('127.0.0.1', 'localhost');
  program = createBerthClient({ baseUrl: server.url, token: null });
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
  await core?.close();
  await store?.close();
  await oidc?.close();
  await dir?.remove();
});

/** Nothing but the way to the service may have happened beside. */
afterEach(async () => {
  const wrong = visitors.flatMap((visitor) => visitor.wrong).filter((each) => !each.startsWith(`request: ${oidc.issuer}/`));
  await Promise.all(visitors.splice(0).map((visitor) => visitor.context.close()));
  expect(wrong).toEqual([]);
});

async function visit(path: string, options: VisitorOptions = {}): Promise<Page> {
  const visitor = await newVisitor(browser, origin, options);
  visitors.push(visitor);
  await visitor.page.goto(`${origin}${path}`);
  return visitor.page;
}

/** For whoever wants to look: `BERTH_TEST_SHOTS` names a directory. */
async function shoot(page: Page, name: string): Promise<void> {
  const shots = process.env['BERTH_TEST_SHOTS'];
  if (shots !== undefined) await page.screenshot({ path: join(shots, `${name}.png`) });
}

test('a person signs in by a service, lets a program in, and keeps the last way to sign in', async () => {
  oidc.person = { sub: 'u-1', email: 'ada@example.org', email_verified: true, preferred_username: 'ada', name: 'Ada L.' };
  const start = await program.devices.begin({ client: 'ada@laptop', scopes: ['manage', 'admin'] });
  const page = await visit(`/device?code=${start.userCode}`);
  await page.getByRole('heading', { name: 'Sign in to Berth' }).waitFor();
  const service = page.getByRole('button', { name: 'Continue with Example Corp' });
  await service.waitFor();
  expect(await violationsOf(page)).toEqual([]);
  await shoot(page, 'sign-in-light');
  await service.click();

  await page.getByRole('heading', { name: 'Let a program in' }).waitFor();
  expect(page.url()).toBe(`${origin}/device?code=${start.userCode}`);
  const code = page.getByRole('textbox', { name: 'Code' });
  expect(await code.inputValue()).toBe(start.userCode);
  await code.fill('BBBB-BBBB');
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByText('no program waits with this code').waitFor();
  await code.fill(start.userCode.toLowerCase());
  expect(await violationsOf(page)).toEqual([]);
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByText('ada@laptop').waitFor();
  expect(await violationsOf(page)).toEqual([]);
  await shoot(page, 'device-light');
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await page.getByText('It is let in').waitFor();
  expect(await program.devices.poll(start.deviceCode)).toMatchObject({ state: 'granted', token: { user: 'ada' } });

  await page.goto(`${origin}/people`);
  await page.getByRole('heading', { name: 'How you sign in' }).waitFor();
  await page.getByRole('cell', { name: 'ada@example.org', exact: true }).waitFor();
  expect(await violationsOf(page)).toEqual([]);
  await shoot(page, 'people-light');
  await page.getByRole('button', { name: 'Unlink Example Corp ada@example.org' }).click();
  await page.getByRole('alertdialog').getByRole('button', { name: 'Unlink' }).click();
  await page.getByText('your last way to sign in').waitFor();
  expect(await store.read.linkedAccounts('ada')).toHaveLength(1);

  await page.getByRole('button', { name: 'You and this page' }).click();
  await page.getByRole('menuitem', { name: 'Sign out ada' }).click();
  await page.getByRole('heading', { name: 'Sign in to Berth' }).waitFor();
  const browsers = (await store.read.tokens('ada')).filter(({ name }) => name.startsWith('signed in by'));
  expect(browsers.map(({ revokedAt }) => revokedAt === null)).toEqual([false]);
});

test('who is not let in reads why, on a phone, in the dark', async () => {
  oidc.person = { sub: 'u-2', email: 'eve@example.org', email_verified: false };
  const phone = await visit('/', { width: 390, height: 844, dark: true });
  const service = phone.getByRole('button', { name: 'Continue with Example Corp' });
  await service.waitFor();
  expect(await violationsOf(phone)).toEqual([]);
  await shoot(phone, 'sign-in-dark-phone');
  await service.click();
  const alert = phone.getByRole('alert');
  await alert.waitFor();
  expect(await alert.textContent()).toMatch(/eve@example\.org is not one of those that may sign in \(its address .* is not verified there\)\. Ask an owner/);
  expect(await violationsOf(phone)).toEqual([]);
  await shoot(phone, 'refused-dark-phone');
  await phone.getByRole('link', { name: 'Back to Berth' }).click();
  await phone.getByRole('heading', { name: 'Sign in to Berth' }).waitFor();
});
