import { QueryClient } from '@tanstack/react-query';
import { BerthError, createBerthClient } from '../../src/sdk/index.ts';

/** The server that served this page; the browser sends its cookie by itself. */
export const client = createBerthClient({ baseUrl: window.location.origin, token: null });

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // The transport has tried again already where that can help.
      retry: false,
      staleTime: 2_000,
    },
  },
});

/** What to tell a person about a failure. */
export function messageOf(error: unknown): string {
  if (error instanceof BerthError) return error.message;
  return error instanceof Error ? error.message : 'something went wrong';
}

export function isSignedOut(error: unknown): boolean {
  return error instanceof BerthError && error.code === 'unauthorized';
}
