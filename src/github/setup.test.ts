import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createSite, publicUrl, signal, type Site } from './testing/site.ts';

/** Lesson: the origin left its set-up routes open to anyone. */
let site: Site;

beforeEach(async () => {
  site = await createSite({ forge: { installations: [] } });
});
afterEach(async () => {
  expect(site.forge.violations).toEqual([]);
  await site.close();
});

interface Browser {
  page: Response;
  html: string;
  cookie: string;
  action: string;
  manifest: string;
}

async function makeLink(body: object = {}): Promise<string> {
  const response = await site.call('POST', '/api/github/setup-link', body);
  expect(response.status).toBe(201);
  const { url } = (await response.json()) as { url: string };
  expect(url.startsWith(`${publicUrl}/setup/github?setup=`)).toBe(true);
  return url.slice(publicUrl.length);
}

async function openPage(link: string): Promise<Browser> {
  const page = await site.app.request(link);
  const html = await page.text();
  const attribute = (pattern: RegExp) =>
    (pattern.exec(html)?.[1] ?? '').replaceAll('&quot;', '"').replaceAll('&amp;', '&');
  return {
    page,
    html,
    cookie: page.headers.get('set-cookie')?.split(';')[0] ?? '',
    action: attribute(/<form method="post" action="([^"]*)"/),
    manifest: attribute(/name="manifest" value="([^"]*)"/),
  };
}

/** What GitHub does with the form: registers the App and sends the browser back. */
async function submit({ action, manifest }: Browser): Promise<string> {
  const response = await fetch(action, { method: 'POST', body: new URLSearchParams({ manifest }), redirect: 'manual' });
  expect(response.status).toBe(302);
  const location = response.headers.get('location')!;
  expect(location.startsWith(`${publicUrl}/setup/github/callback?`)).toBe(true);
  return location.slice(publicUrl.length);
}

const comeBack = (path: string, cookie: string) => site.app.request(path, { headers: { cookie } });

describe('the page', () => {
  test('registers an App: link, form, GitHub, callback', async () => {
    const browser = await openPage(await makeLink());
    expect(browser.page.status).toBe(200);
    expect(browser.action.startsWith(`${site.forge.url}/settings/apps/new?state=`)).toBe(true);
    const manifest = JSON.parse(browser.manifest);
    expect(manifest).toMatchObject({
      public: false,
      hook_attributes: { url: `${publicUrl}/webhooks/github`, active: true },
      default_permissions: { contents: 'write', issues: 'write', pull_requests: 'write', metadata: 'read' },
    });

    const done = await comeBack(await submit(browser), browser.cookie);
    const text = await done.text();
    expect([done.status, text]).toEqual([200, expect.stringContaining('/installations/new')]);
    const made = site.forge.state.apps.find((each) => each.name === manifest.name)!;
    const record = (await site.store.read.githubApp())!;
    expect(record).toMatchObject({ appId: made.id, slug: made.slug, apiUrl: site.forge.apiUrl });
    expect(site.secrets.open(record.sealedPrivateKey)).toBe(made.privateKey);
    expect(site.secrets.open(record.sealedWebhookSecret)).toBe(made.webhookSecret);
    for (const secret of [made.privateKey, made.webhookSecret, made.clientSecret]) {
      expect(JSON.stringify(record)).not.toContain(secret);
      expect(text).not.toContain(secret);
    }

    site.forge.install(made, { account: 'acme' });
    expect(await (await site.call('GET', '/api/github')).json()).toMatchObject({
      configured: true,
      app: { slug: made.slug, installUrl: `${site.forge.url}/apps/${made.slug}/installations/new` },
      installations: [{ account: 'acme', suspended: false }],
      problem: null,
    });
    expect((await (await site.call('POST', '/api/repositories')).json()).repositories).toMatchObject([
      { name: 'widgets' },
    ]);
  });

  test('allows no script, no other origin, no frame, and is not kept', async () => {
    const { page, html, cookie } = await openPage(await makeLink());
    const policy = page.headers.get('content-security-policy')!;
    expect(policy).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self' http:\/\/127\.0\.0\.1:\d+; base-uri 'none'; frame-ancestors 'none'$/,
    );
    expect(policy).toContain(site.forge.url);
    expect(html).not.toMatch(/<script|javascript:|\son\w+=/i);
    expect(page.headers.get('cache-control')).toBe('no-store');
    expect(page.headers.get('referrer-policy')).toBe('no-referrer');
    expect(page.headers.get('set-cookie')).toMatch(/HttpOnly; SameSite=Lax/);
    expect(cookie).not.toBe('');
  });

  test('for an organisation goes there, and a hostile name goes nowhere', async () => {
    const link = await makeLink();
    expect((await openPage(`${link}&organization=acme`)).action).toContain(
      '/organizations/acme/settings/apps/new?state=',
    );
    for (const name of ['../x', '"><script>alert(1)</script>', 'a/b', '-a', 'x'.repeat(200)]) {
      const { page, html, action } = await openPage(`${link}&organization=${encodeURIComponent(name)}`);
      expect([page.status, action]).toEqual([400, '']);
      expect(html).not.toContain('<script');
    }
  });
});

describe('refused', () => {
  test('a page without a good link', async () => {
    const link = await makeLink();
    const other = site.secrets.seal(
      JSON.stringify({ purpose: 'state', linkId: 'x', id: 'x', replaces: null, expiresAt: '2999-01-01T00:00:00.000Z' }),
    );
    for (const path of [
      '/setup/github',
      '/setup/github?setup=',
      '/setup/github?setup=v1.abc',
      `${link.slice(0, -20)}${'A'.repeat(20)}`,
      `/setup/github?setup=${encodeURIComponent(other)}`,
      `/setup/github?setup=${'a'.repeat(100_000)}`,
    ]) {
      const { page } = await openPage(path);
      expect([path.slice(0, 60), page.status]).toEqual([path.slice(0, 60), 403]);
      expect(page.headers.get('set-cookie')).toBeNull();
    }
    expect((await site.app.request('/api/github/setup-link', { method: 'POST' })).status).toBe(401);
  });

  test('a link after its hour', async () => {
    const link = await makeLink();
    // The site, and so its clock, is this test's own.
    site.world.deps.clock.now = () => new Date(Date.now() + 3_600_001);
    expect((await openPage(link)).page.status).toBe(403);
  });

  test('an answer in another browser, with another state, or twice', async () => {
    const link = await makeLink();
    const [mine, other] = [await openPage(link), await openPage(link)];
    const back = await submit(mine);
    expect((await comeBack(back, '')).status).toBe(403);
    expect((await comeBack(back, other.cookie)).status).toBe(403);
    expect((await comeBack(back.replace(/code=[^&]*/, 'code=../../x'), mine.cookie)).status).toBe(400);
    expect((await comeBack(back, mine.cookie)).status).toBe(200);
    const saved = await site.store.read.githubApp();
    expect((await comeBack(back, mine.cookie)).status).toBe(409);
    // The link is used up with it.
    expect((await openPage(link)).page.status).toBe(409);
    expect((await comeBack(await submit({ ...other, manifest: renamed(other.manifest) }), other.cookie)).status).toBe(
      409,
    );
    expect(await site.store.read.githubApp()).toEqual(saved);
  });

  test('an answer whose code GitHub does not know leaves the link good', async () => {
    const link = await makeLink();
    const browser = await openPage(link);
    const back = (await submit(browser)).replace(/code=[^&]*/, 'code=unknown');
    expect((await comeBack(back, browser.cookie)).status).toBe(404);
    expect((await comeBack(back, browser.cookie)).status).toBe(409);
    expect(await site.store.read.githubApp()).toBeNull();
    expect((await openPage(link)).page.status).toBe(200);
  });

  test('set-up once an App is there, unless it is to be replaced', async () => {
    const before = await makeLink();
    await site.register();
    expect((await openPage(before)).page.status).toBe(409);
    const closed = await site.call('POST', '/api/github/setup-link', {});
    expect([closed.status, (await closed.json()).error.code]).toEqual([409, 'conflict']);
    const browser = await openPage(await makeLink({ replace: true }));
    expect((await comeBack(await submit(browser), browser.cookie)).status).toBe(200);
    expect((await site.store.read.githubApp())!.appId).not.toBe(site.forge.app.id);
  });
});

describe('an App that is there already', () => {
  const given = () => ({
    appId: site.forge.app.id,
    privateKey: site.forge.app.privateKey,
    webhookSecret: site.forge.webhookSecret,
  });

  test('is confirmed by GitHub before it is stored, with what it may reach', async () => {
    site.forge.install(site.forge.app, { account: 'acme' });
    site.forge.install(site.forge.app, { account: 'jane' });
    const response = await site.call('POST', '/api/github/app', given());
    expect([response.status, await response.json()]).toMatchObject([
      201,
      { slug: 'berth-test', appId: site.forge.app.id },
    ]);
    const { repositories } = await (await site.call('GET', '/api/repositories')).json();
    expect(repositories.map(({ owner, name }: Record<string, string>) => `${owner}/${name}`)).toEqual([
      'acme/widgets',
      'jane/notes',
    ]);
  });

  test.each([
    ['appId', { appId: 999 }],
    ['privateKey', { privateKey: '-----BEGIN RSA PRIVATE KEY-----\nno\n-----END RSA PRIVATE KEY-----' }],
    ['webhookSecret', { webhookSecret: 'short' }],
    ['apiUrl', { apiUrl: 'file:///etc/passwd' }],
    ['appId', { appId: -1 }],
    ['more', { more: 1 }],
  ])('names %s when that is wrong, and stores nothing', async (field, change) => {
    const response = await site.call('POST', '/api/github/app', { ...given(), ...change });
    expect([response.status, (await response.json()).error]).toMatchObject([400, { code: 'invalid_request', field }]);
    expect(await site.store.read.githubApp()).toBeNull();
  });

  test("another App's key is not taken", async () => {
    const { generateKeyPairSync } = await import('node:crypto');
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    const response = await site.call('POST', '/api/github/app', { ...given(), privateKey });
    expect([response.status, (await response.json()).error]).toMatchObject([400, { field: 'privateKey' }]);
  });
});

test('without an App, everything says so', async () => {
  expect(await (await site.call('GET', '/api/github')).json()).toEqual({
    configured: false,
    app: null,
    installations: [],
    problem: null,
  });
  expect((await site.call('POST', '/api/repositories')).status).toBe(404);
  expect(await site.github.credentialsFor(site.forge.gitUrl('acme', 'widgets'), signal)).toBeNull();
  const headers = { 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` };
  expect((await site.app.request('/webhooks/github', { method: 'POST', headers, body: '{}' })).status).toBe(404);
});

test('a GitHub that does not answer is told, not hidden', async () => {
  await site.register();
  site.forge.failNext('apps/list-installations', 502);
  expect(await (await site.call('GET', '/api/github')).json()).toMatchObject({
    configured: true,
    installations: null,
    problem: expect.stringContaining('upstream_failed'),
  });
});

function renamed(manifest: string): string {
  return JSON.stringify({ ...JSON.parse(manifest), name: 'Another' });
}
