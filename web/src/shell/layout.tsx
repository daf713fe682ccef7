import { useQuery } from '@tanstack/react-query';
import { Outlet, useNavigate, useRouterState } from '@tanstack/react-router';
import { lazy, Suspense, useCallback, useState } from 'react';
import { isSignedOut } from '../api.ts';
import { meQuery } from '../queries.ts';
import { SignIn } from '../sign-in/sign-in.tsx';
import { classNames } from '../ui/class-names.ts';
import { Failure, Loading } from '../ui/states.tsx';
import { useKeys } from './keys.ts';
import { useNotifications } from './notifications.ts';
import { Sidebar } from './sidebar.tsx';
import { useNarrow } from './use-narrow.ts';

const Palette = lazy(() => import('./palette.tsx'));

/** Everything behind the sign-in: sessions at the side, the page beside them; one of both on a phone. */
export function Layout() {
  const me = useQuery(meQuery);
  if (me.isPending) return <Loading />;
  if (me.isError) {
    if (isSignedOut(me.error)) return <SignIn />;
    return (
      <main className="mx-auto max-w-md p-8">
        <h1 className="mb-3 text-lg font-semibold">Berth does not answer</h1>
        <Failure error={me.error} onRetry={() => void me.refetch()} />
      </main>
    );
  }
  return <SignedIn />;
}

function SignedIn() {
  const navigate = useNavigate();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const [palette, setPalette] = useState(false);
  const open = useCallback(
    (sessionId: string) => void navigate({ to: '/sessions/$sessionId', params: { sessionId } }),
    [navigate],
  );
  useNotifications(open);
  useKeys({
    'mod+k': () => setPalette(true),
    c: () => void navigate({ to: '/new' }),
    '/': () => document.querySelector<HTMLInputElement>('input[type=search]')?.focus(),
  });

  const home = path === '/';
  // On a phone the list of sessions is the page.
  const listIsPage = useNarrow() && home;
  return (
    <div className="flex h-full">
      <div role={listIsPage ? 'main' : undefined} className="contents">
        {listIsPage && <h1 className="sr-only">Sessions</h1>}
        <Sidebar className={home ? '' : 'max-md:hidden'} onPalette={() => setPalette(true)} />
      </div>
      <div className={classNames('flex min-w-0 flex-1', home && 'max-md:hidden')}>
        <Outlet />
      </div>
      {palette && (
        <Suspense>
          <Palette onClose={() => setPalette(false)} />
        </Suspense>
      )}
    </div>
  );
}
