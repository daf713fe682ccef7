import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCookieBrowser, type CookieBrowser } from '../../test/fixtures/cookie-browser.ts';
import { createForge, type Forge } from '../../test/fixtures/forge/index.ts';
import { startOidcServer, type OidcServer } from '../../test/fixtures/oidc.ts';
import { createCore, type Core } from '../core/create-core.ts';
import type { SecretBox } from '../core/ports/secrets.ts';
import type { Store, UserRecord } from '../core/ports/store.ts';
import { givenToken } from '../core/testing/accounts.ts';
import { createWorld } from '../core/testing/doubles.ts';
import { signInSettings, type SignInSettings } from '../core/users/sign-in/settings.ts';
import { createSignInService } from '../core/users/sign-in/sign-in-service.ts';
import { createGithub } from '../github/index.ts';
import { openIdentityProviders } from '../main/identity-providers.ts';
import type { LinkedAccount } from '../protocol/sign-in-api.ts';
import { createSqliteStore } from '../store/sqlite.ts';
import { createApp } from './app.ts';
import { createBrowserLogin, usedCodes } from './browser-login.ts';
import { accountSignInRoutes } from './routes/sign-in.ts';
import { webAppRoutes } from './web-app.ts';

/** Signing in by GitHub and OpenID Connect, against servers that speak their protocols. */

const origin = 'http://berth.test';
const callback = (name: string) => `${origin}/sign-in/${name}/callback`;
let forge: Forge;
let oidc: OidcServer;
let store: Store;
let core: Core;
let serve: (request: Request) => Response | Promise<Response>;

beforeAll(async () => {
  forge = await createForge({
    repositories: [],
    installations: [{ account: 'acme', permissions: { members: 'read' } }],
    app: { callbackUrls: [callback('github')] },
  });
  oidc = await startOidcServer(() => [callback('corp')]);
});
afterAll(async () => {
  await forge.close();
  await oidc.close();
});

beforeEach(async () => {
  store = await createSqliteStore({ path: ':memory:' });
  forge.oauth.declines = false;
  oidc.person = { sub: 'u-1', email: 'Ada@Example.org', email_verified: true, preferred_username: 'ada', name: 'Ada L.' };
  serve = await server();
  return async () => {
    await core.close();
    await store.close();
  };
});

/** Sealed in the open: what the tests look at is who can use it, not what it says. */
const box: SecretBox = {
  seal: (text) => Buffer.from(`sealed:${text}`).toString('base64url'),
  open(sealed) {
    const text = Buffer.from(sealed, 'base64url').toString();
    if (!text.startsWith('sealed:')) throw new Error('not sealed here');
    return text.slice('sealed:'.length);
  },
};

async function server(change: { issuer?: string; publicUrl?: string; settings?: Partial<Record<keyof SignInSettings, unknown>> } = {}) {
  const { deps } = createWorld(store);
  core = createCore(deps);
  const vault = { seal: async (text: string) => box.seal(text), open: async (text: string) => box.open(text), rotate: async () => ({}) as never };
  const github = createGithub({
    store,
    secrets: vault,
    links: box,
    clock: deps.clock,
    logger: deps.logger,
    publicUrl: () => origin,
    apiUrl: forge.apiUrl,
    pacing: false,
  });
  const { app } = forge;
  await github.forgeApp.register(
    { appId: app.id, privateKey: app.privateKey, webhookSecret: app.webhookSecret, clientSecret: app.clientSecret },
    'owner',
    AbortSignal.timeout(10_000),
  );
  const settings = signInSettings.parse({
    github: { allow: [{ account: 'JANE', role: 'owner' }, { organization: 'acme', teams: ['crew', 'nobody'] }] },
    oidc: [
      {
        name: 'corp',
        label: 'Corp',
        issuer: change.issuer ?? oidc.issuer,
        clientId: oidc.clientId,
        scopes: ['email', 'profile', 'groups'],
        allow: [{ group: 'ops', role: 'owner' }, { domain: 'example.org', role: 'viewer' }, { email: 'max@other.org' }],
      },
    ],
    ...change.settings,
  });
  const browser = {
    login: createBrowserLogin({ secret: new Uint8Array(32).fill(7), now: () => deps.clock.now(), useUp: usedCodes(store) }),
    publicUrl: () => change.publicUrl ?? null,
  };
  const clientSecrets = new Map([['corp', oidc.clientSecret]]);
  const signIn = createSignInService({
    store,
    box,
    clock: deps.clock,
    logger: deps.logger,
    accounts: core.accounts,
    providers: await openIdentityProviders({ settings, clientSecrets }, github.oauth, deps.clock),
  });
  const router = createApp(
    {
      core,
      store,
      agents: deps.agents,
      installer: deps.installer,
      logger: deps.logger,
      providerName: 'memory',
      version: '0',
      report: async () => [],
      browser,
    },
    { public: [accountSignInRoutes({ signIn, browser, logger: deps.logger }), webAppRoutes({ page: '<p>Berth', find: () => null })] },
  );
  return (request: Request) => router.request(request);
}

const newBrowser = (): CookieBrowser => createCookieBrowser({ [origin]: (request) => serve(request) });

const post = (browser: CookieBrowser, path: string, body: unknown = {}, from = origin) =>
  browser.send(`${origin}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: from },
    body: JSON.stringify(body),
  });

/** The address at the service that a page's button leads to. */
async function begin(browser: CookieBrowser, name: string, returnTo = '/'): Promise<string> {
  const answer = await post(browser, `/api/sign-in/${name}`, { returnTo });
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { url: string }).url;
}

const isCallback = (url: string) => url.startsWith(`${origin}/sign-in/`);

/** All the way to where the service sends the browser back to. */
async function toCallback(browser: CookieBrowser, name: string, change = (url: string) => url): Promise<string> {
  return (await browser.go(change(await begin(browser, name)), isCallback)).url;
}

async function signIn(browser: CookieBrowser, name: string): Promise<{ url: string; response: Response }> {
  return browser.go(await toCallback(browser, name));
}

const me = async (browser: CookieBrowser) => {
  const response = await browser.send(`${origin}/api/me`);
  return response.status === 200 ? (await response.json()) as { user: string; role: string; teams: unknown[] } : response.status;
};

/** What the page says to a person who is not let in. */
async function refusal(browser: CookieBrowser, url: string): Promise<string> {
  const { response } = await browser.go(url);
  const text = await response.text();
  expect(await me(browser)).toBe(401);
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
  return `${response.status} ${/role="alert">([^<]*)</.exec(text)?.[1]}`;
}

const audit = async (action: string) => (await store.read.audit({ order: 'newest', limit: 50 })).filter((entry) => entry.action === action);

const user = (handle: string): UserRecord => ({ handle, displayName: handle, role: 'member', disabledAt: null, createdAt: '2026-01-01T00:00:00.000Z' });

describe('by GitHub', () => {
  test('whom a rule lets in becomes a user, once, and goes on where he was', async () => {
    await store.transaction((tx) => tx.insertTeam({ name: 'crew', displayName: 'Crew', createdAt: '2026-01-01T00:00:00.000Z' }));
    const choices = await newBrowser().send(`${origin}/api/sign-in`);
    expect(await choices.json()).toEqual({
      providers: [
        { name: 'github', label: 'GitHub', kind: 'github' },
        { name: 'corp', label: 'Corp', kind: 'oidc' },
      ],
    });

    const browser = newBrowser();
    forge.browseAs('tom');
    const at = await browser.go(await begin(browser, 'github', '/sessions/ses_1?tab=files#end'), isCallback);
    const back = await browser.send(at.url);
    expect([back.status, back.headers.get('location')]).toEqual([303, '/sessions/ses_1?tab=files#end']);
    expect(back.headers.getSetCookie().join('\n')).toMatch(/berth_session_[0-9a-f]{8}=[^;]+; Max-Age=2592000; Path=\/; HttpOnly; SameSite=Strict/);
    expect(await me(browser)).toMatchObject({ user: 'tom', role: 'member', teams: [{ team: 'crew', role: 'member' }] });
    const again = newBrowser();
    await signIn(again, 'github');
    expect(await me(again)).toMatchObject({ user: 'tom' });
    expect((await store.read.users()).map(({ handle }) => handle)).toEqual(['tom']);

    forge.browseAs('jane');
    const other = newBrowser();
    await signIn(other, 'github');
    expect(await me(other)).toMatchObject({ user: 'jane', role: 'owner', teams: [] });
    expect((await audit('user.added')).map(({ actor, target }) => [actor, target])).toEqual([['server', 'jane'], ['server', 'tom']]);
    expect(await audit('signin.succeeded')).toHaveLength(3);
    expect(forge.violations).toEqual([]);
    expect(JSON.stringify(await store.read.audit({ order: 'newest', limit: 50 }))).not.toMatch(/ghu_|code_verifier/);
  });

  test('whom none lets in is told what to do, and leaves nothing but a line in the log', async () => {
    forge.browseAs('mallory');
    const browser = newBrowser();
    expect(await refusal(browser, await toCallback(browser, 'github'))).toMatch(/^403 GitHub account mallory is not one of those that may sign in\. Ask an owner/);
    expect(await store.read.users()).toEqual([]);
    expect((await audit('signin.refused'))[0]!.detail).toMatchObject({ with: 'github', account: 'mallory', reason: 'not allowed' });
  });

  test('who has the name of a user is not that user', async () => {
    await givenToken(store, 'jane', { role: 'owner' });
    forge.browseAs('jane');
    const browser = newBrowser();
    await signIn(browser, 'github');
    expect(await me(browser)).toMatchObject({ user: 'jane-2' });
  });

  test('who says no, and a code that GitHub does not know, are told', async () => {
    forge.browseAs('jane');
    forge.oauth.declines = true;
    const browser = newBrowser();
    expect(await refusal(browser, await toCallback(browser, 'github'))).toMatch(/^403 You were not let in by GitHub, or did not agree/);
    forge.oauth.declines = false;
    const forged = new URL(await toCallback(browser, 'github'));
    forged.searchParams.set('code', 'f'.repeat(20));
    expect(await refusal(browser, forged.href)).toMatch(/^403 GitHub does not take this answer/);
    // An organisation whose members the App may not see lets nobody in by that.
    serve = await server({ settings: { github: { allow: [{ organization: 'Unseen' }] } } });
    expect(await refusal(browser, await toCallback(browser, 'github'))).toMatch(/^403 GitHub account jane is not/);
  });
});

describe('by OpenID Connect', () => {
  test('a verified address of a domain, and a group, each get what their rule says', async () => {
    const browser = newBrowser();
    await signIn(browser, 'corp');
    expect(await me(browser)).toMatchObject({ user: 'ada', role: 'viewer' });
    oidc.person = { sub: 'u-2', preferred_username: 'Ops Öl@corp', groups: ['dev', 'ops'] };
    const other = newBrowser();
    await signIn(other, 'corp');
    expect(await me(other)).toMatchObject({ user: 'ops-ol', role: 'owner' });
    // Not by its address: another subject is another person.
    oidc.person = { sub: 'u-3', email: 'ada@example.org', email_verified: true, preferred_username: 'ada' };
    const third = newBrowser();
    await signIn(third, 'corp');
    expect(await me(third)).toMatchObject({ user: 'ada-2' });
  });

  test('an address that is not verified is nobody’s, nor is one that only ends so', async () => {
    for (const [email, verified] of [['x@example.org', false], ['x@evil-example.org', true], ['x@example.org.evil.test', true], ['max@other.org', false]] as const) {
      oidc.person = { sub: `s-${email}`, email, email_verified: verified };
      const browser = newBrowser();
      const said = await refusal(browser, await toCallback(browser, 'corp'));
      expect([email, said]).toEqual([email, expect.stringMatching(verified ? /^403 Corp account x@/ : /^403 .*is not verified there/)]);
    }
  });

  test('whom a rule let in it must let in each time; a disabled user never', async () => {
    const person = oidc.person!;
    await signIn(newBrowser(), 'corp');
    oidc.person = { ...person, email: 'ada@elsewhere.org' };
    const left = newBrowser();
    expect(await refusal(left, await toCallback(left, 'corp'))).toMatch(/^403 Corp account ada@elsewhere.org is not one/);
    oidc.person = person;
    await givenToken(store, 'root', { role: 'owner' });
    await core.accounts.users.change('ada', { disabled: true }, 'root');
    const disabled = newBrowser();
    expect(await refusal(disabled, await toCallback(disabled, 'corp'))).toMatch(/^403 Your account is disabled here; ask an owner/);
    expect((await audit('signin.refused')).map(({ target, detail }) => [target, detail['reason']])).toEqual([['ada', 'disabled'], ['ada', 'not allowed']]);
  });

  test('a person who says no', async () => {
    oidc.person = null;
    const browser = newBrowser();
    expect(await refusal(browser, await toCallback(browser, 'corp'))).toMatch(/^403 You were not let in by Corp/);
  });
});

describe('attacks', () => {
  test('an answer counts once, in the browser that began, with its own state', async () => {
    const browser = newBrowser();
    const url = await toCallback(browser, 'corp');
    const kept = new Map(browser.cookies(origin));
    // Login CSRF: another person's browser is given the attacker's answer.
    const victim = newBrowser();
    expect(await refusal(victim, url)).toMatch(/^403 This sign-in was not begun in this browser/);
    await begin(victim, 'corp');
    expect(await refusal(victim, url)).toMatch(/^403 This sign-in was not begun/);

    await browser.go(url);
    expect(await me(browser)).toMatchObject({ user: 'ada' });
    // The same address again, with the cookie that was kept.
    const thief = newBrowser();
    for (const [name, value] of kept) thief.cookies(origin).set(name, value);
    expect(await refusal(thief, url)).toBe('409 This answer was used already.');
    // The code under another way of the thief's own.
    const own = new URL(await toCallback(thief, 'corp'));
    own.searchParams.set('code', new URL(url).searchParams.get('code')!);
    expect(await refusal(thief, own.href)).toMatch(/^403 Corp does not take this answer/);
  });

  test.each([
    ['another nonce', (url: URL) => url.searchParams.set('nonce', 'x'.repeat(43)), 'What came from Corp is not an answer to this sign-in'],
    ['another challenge', (url: URL) => url.searchParams.set('code_challenge', 'x'.repeat(43)), 'Corp does not take this answer'],
  ])('a way there that was begun with %s', async (_, change, said) => {
    const browser = newBrowser();
    const url = await toCallback(browser, 'corp', (text) => {
      const there = new URL(text);
      change(there);
      return there.href;
    });
    expect(await refusal(browser, url)).toContain(`403 ${said}`);
  });

  test.each([
    ['another state', 'state', 'x', 'This sign-in was not begun in this browser'],
    ['another issuer', 'iss', 'https://evil.test', 'What came from Corp is not an answer'],
    ['no issuer', 'iss', null, 'What came from Corp is not an answer'],
    ['no code', 'code', null, 'What came from Corp is not an answer'],
  ])('an answer with %s', async (_, name, value, said) => {
    const browser = newBrowser();
    const url = new URL(await toCallback(browser, 'corp'));
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
    expect(await refusal(browser, url.href)).toContain(`403 ${said}`);
  });

  test('an answer for one provider, given to another', async () => {
    const browser = newBrowser();
    const url = await toCallback(browser, 'corp');
    expect(await refusal(browser, url.replace('/sign-in/corp/', '/sign-in/github/'))).toMatch(/^403 This sign-in was not begun/);
    expect(await refusal(browser, url.replace('/sign-in/corp/', '/sign-in/none/'))).toMatch(/^404 Nobody can sign in by none here/);
  });

  test('a provider that is another than was configured', async () => {
    serve = await server({ issuer: oidc.issuer.replace('127.0.0.1', 'localhost') });
    const answer = await post(newBrowser(), '/api/sign-in/corp');
    expect([answer.status, await answer.text()]).toEqual([502, expect.stringContaining('an owner has to check its issuer')]);
    serve = await server({ issuer: 'http://127.0.0.1:9' });
    const silent = await post(newBrowser(), '/api/sign-in/corp');
    expect([silent.status, await silent.text()]).toEqual([503, expect.stringContaining('Corp cannot be reached')]);
  });

  test('other sites begin nothing, and lead nowhere else', async () => {
    expect((await post(newBrowser(), '/api/sign-in/corp', {}, 'https://evil.test')).status).toBe(403);
    expect((await newBrowser().send(`${origin}/api/sign-in/corp`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).status).toBe(403);
    for (const returnTo of ['//evil.test', '/\\evil.test', 'https://evil.test', 'javascript:alert(1)', '/\t/evil.test', '', '/%0d%0aset-cookie: x', '\\\\evil.test']) {
      const answer = await post(newBrowser(), '/api/sign-in/corp', { returnTo });
      const body = (await answer.json()) as { error?: { field: string } };
      expect([returnTo, answer.status, body.error?.field]).toEqual([returnTo, 400, 'returnTo']);
    }
  });

  test('a browser under https keeps its way where no other host can set it', async () => {
    serve = await server({ publicUrl: 'https://berth.test' });
    const answer = await post(newBrowser(), '/api/sign-in/corp', {}, 'https://berth.test');
    expect(answer.headers.get('set-cookie')).toMatch(/^__Host-berth_sign_in_[0-9a-f]{8}=[^;]+; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    expect(new URL(((await answer.json()) as { url: string }).url).searchParams.get('redirect_uri')).toBe('https://berth.test/sign-in/corp/callback');
  });
});

describe('linked accounts', () => {
  const accounts = async (browser: CookieBrowser) =>
    ((await (await browser.send(`${origin}/api/accounts`)).json()) as { accounts: LinkedAccount[] }).accounts;
  const unlink = (browser: CookieBrowser, id: string) => browser.send(`${origin}/api/accounts/${id}`, { method: 'DELETE', headers: { origin } });
  async function link(browser: CookieBrowser, name: string): Promise<Response> {
    const { url } = (await (await post(browser, `/api/accounts/${name}`, { returnTo: '/people' })).json()) as { url: string };
    return browser.send((await browser.go(url, isCallback)).url);
  }
  /** As an owner's link lets somebody in. */
  async function invited(handle: string): Promise<CookieBrowser> {
    const browser = newBrowser();
    const token = await givenToken(store, handle, { role: 'member' });
    expect((await post(browser, '/api/login', { token })).status).toBe(200);
    return browser;
  }

  test('who was invited links an account and signs in by it, whatever the rules say; the last one stays', async () => {
    forge.browseAs('mallory');
    const browser = await invited('mal');
    expect((await link(browser, 'github')).headers.get('location')).toBe('/people');
    expect(await accounts(browser)).toMatchObject([{ provider: 'github', service: 'GitHub', account: 'mallory', lastUsedAt: null }]);
    const elsewhere = newBrowser();
    await signIn(elsewhere, 'github');
    expect(await me(elsewhere)).toMatchObject({ user: 'mal', role: 'member' });

    const [github] = await accounts(browser);
    const refused = await unlink(browser, github!.id);
    expect([refused.status, await refused.text()]).toEqual([409, expect.stringContaining('your last way to sign in')]);
    oidc.person = { sub: 'm-1', email: 'mal@nowhere.org', email_verified: true };
    await link(browser, 'corp');
    expect((await unlink(browser, github!.id)).status).toBe(204);
    expect(await accounts(browser)).toMatchObject([{ provider: 'corp', account: 'mal@nowhere.org' }]);
    const stranger = newBrowser();
    expect(await refusal(stranger, await toCallback(stranger, 'github'))).toMatch(/^403 GitHub account mallory/);
    expect((await audit('account.linked')).map(({ actor }) => actor)).toEqual(['user:mal', 'user:mal']);
    expect((await audit('account.unlinked'))[0]!.detail).toMatchObject({ account: 'mallory' });
  });

  test('an account is one user’s, and nobody unlinks another’s', async () => {
    forge.browseAs('mallory');
    const [first, second] = [await invited('one'), await invited('two')];
    await link(first, 'github');
    const taken = await link(second, 'github');
    expect([taken.status, await taken.text()]).toEqual([409, expect.stringContaining('belongs to another user here')]);
    expect(await accounts(second)).toEqual([]);
    expect((await unlink(second, (await accounts(first))[0]!.id)).status).toBe(404);
    // Who was signed out, or disabled, meanwhile links nothing.
    const { url } = (await (await post(second, '/api/accounts/corp')).json()) as { url: string };
    await store.transaction((tx) => tx.updateUser('two', { disabledAt: '2026-01-01T00:00:00.000Z' }));
    expect((await second.send((await second.go(url, isCallback)).url)).status).toBe(401);
    expect(await store.read.linkedAccounts('two')).toEqual([]);
  });

  test('signing out ends the token that signing in made; one that was typed in goes on', async () => {
    const browser = newBrowser();
    await signIn(browser, 'corp');
    const kept = new Map(browser.cookies(origin));
    expect((await post(browser, '/api/logout')).status).toBe(204);
    for (const [name, value] of kept) browser.cookies(origin).set(name, value);
    expect(await me(browser)).toBe(401);
    const typed = await invited('one');
    const typedKept = new Map(typed.cookies(origin));
    await post(typed, '/api/logout');
    for (const [name, value] of typedKept) typed.cookies(origin).set(name, value);
    expect(await me(typed)).toMatchObject({ user: 'one' });
  });
});

test('a name is made into a handle that is free', async () => {
  const { newHandle } = await import('../core/users/new-handle.ts');
  await store.transaction((tx) => tx.insertUser(user('a'.repeat(39))));
  expect(await newHandle(store.read, ['', '???', 'Zoë Müller'])).toBe('zoe-muller');
  expect(await newHandle(store.read, ['.-_'])).toBe('user');
  expect(await newHandle(store.read, ['a'.repeat(60)])).toBe(`${'a'.repeat(37)}-2`);
});
