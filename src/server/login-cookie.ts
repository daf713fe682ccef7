import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import type { LoginClaims } from './browser-login.ts';
import type { AppEnv, BrowserAccess } from './context.ts';

/** Whether browsers reach the server by https, so that cookies are kept to it. */
export function isSecure({ publicUrl }: BrowserAccess): boolean {
  return publicUrl()?.startsWith('https:') ?? false;
}

/** Signs the browser in by a token. `own`: the token was made for this browser, and ends when it signs out. */
export function signInBrowser(c: Context<AppEnv>, browser: BrowserAccess, claims: LoginClaims): void {
  const { login } = browser;
  setCookie(c, login.cookieName, login.signCookie(claims), {
    path: '/',
    httpOnly: true,
    sameSite: 'Strict',
    secure: isSecure(browser),
    maxAge: login.cookieMaxAgeSeconds,
  });
}

/** Takes the cookie away; `null` where there was none that counts. */
export function signOutBrowser(c: Context<AppEnv>, browser: BrowserAccess): LoginClaims | null {
  const { login } = browser;
  const cookie = getCookie(c, login.cookieName);
  deleteCookie(c, login.cookieName, { path: '/', secure: isSecure(browser) });
  return cookie === undefined ? null : login.readCookie(cookie);
}
