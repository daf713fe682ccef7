import type { Route } from '../router.ts';
import { sendJson } from '../router.ts';
import { listListening } from './listening.ts';

export const portRoutes: Route[] = [
  { method: 'GET', pattern: '/ports', handler: ({ res }) => sendJson(res, 200, listListening()) },
];
