import type { Browser, Page } from 'playwright-core';
import { expect } from 'vitest';
import type { TestServer } from '../harness.ts';
import { newVisitor, type Visitor, type VisitorOptions } from './browser.ts';

/** Browsers of several people at one server, and what must not have happened in any of them. */
export interface People {
  /** A page of whoever has the token; the owner's by default. */
  visit(path: string, options?: VisitorOptions & { token?: string; prepare?: (page: Page) => Promise<void> }): Promise<Page>;
  /** Adds a user and signs them in with the link that it brings. */
  invite(handle: string, path: string, options?: VisitorOptions): Promise<Page>;
  /** Closes them all, and fails on what went wrong in one. */
  leave(): Promise<void>;
}

export function createPeople(browser: Browser, server: TestServer): People {
  const visitors: Visitor[] = [];
  const open = async (options: VisitorOptions): Promise<Visitor> => {
    const visitor = await newVisitor(browser, server.url, options);
    visitors.push(visitor);
    return visitor;
  };
  return {
    async visit(path, { token = server.token, prepare, ...options } = {}) {
      const { page, context } = await open(options);
      const answer = await context.request.post(`${server.url}/api/login`, { data: { token }, headers: { origin: server.url } });
      expect(answer.status()).toBe(200);
      await prepare?.(page);
      await page.goto(server.url + path);
      return page;
    },
    async invite(handle, path, options = {}) {
      const { signIn } = await server.client.users.add({ handle });
      const { page } = await open(options);
      await page.goto(signIn.url);
      await page.getByRole('heading', { name: 'New session' }).waitFor();
      await page.goto(server.url + path);
      return page;
    },
    async leave() {
      const wrong = visitors.flatMap((visitor) => visitor.wrong);
      await Promise.all(visitors.splice(0).map((visitor) => visitor.context.close()));
      expect(wrong).toEqual([]);
    },
  };
}
