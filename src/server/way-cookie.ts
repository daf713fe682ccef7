import type { Context } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { wayLifeMs } from '../core/users/sign-in/way.ts';
import type { AppEnv, BrowserAccess } from './context.ts';
import { isSecure } from './login-cookie.ts';

/**
 * What a browser holds while its person is at another service. `Lax`, since it has to come along when that service sends the
 * browser back. With https it has the prefix that no other host of the same site can set.
 */
const nameOf = (browser: BrowserAccess): string => browser.login.cookieName.replace('berth_session', 'berth_sign_in');

export function setWayCookie(c: Context<AppEnv>, browser: BrowserAccess, way: string): void {
  const secure = isSecure(browser);
  const options = { path: '/', httpOnly: true, sameSite: 'Lax', secure, maxAge: wayLifeMs / 1000 } as const;
  if (secure) setCookie(c, nameOf(browser), way, { ...options, secure: true, prefix: 'host' });
  else setCookie(c, nameOf(browser), way, options);
}

/** Reads it, and takes it away. */
export function takeWayCookie(c: Context<AppEnv>, browser: BrowserAccess): string | undefined {
  const secure = isSecure(browser);
  const name = nameOf(browser);
  const value = secure ? getCookie(c, name, 'host') : getCookie(c, name);
  if (secure) deleteCookie(c, name, { path: '/', secure: true, prefix: 'host' });
  else deleteCookie(c, name, { path: '/' });
  return value;
}
