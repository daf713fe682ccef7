import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Link } from '@tanstack/react-router';
import { Layout } from './shell/layout.tsx';
import { Page } from './ui/page.tsx';
import { Failure, Loading } from './ui/states.tsx';

const root = createRootRoute({ component: Layout, notFoundComponent: NotFound });
const at = <P extends string>(path: P) => ({ getParentRoute: () => root, path });
const operate = <K extends keyof typeof import('./operate/index.ts')>(name: K) =>
  lazyRouteComponent(() => import('./operate/index.ts'), name);

const NewSession = lazyRouteComponent(() => import('./sessions/new-session.tsx'), 'NewSession');
const home = createRoute({ ...at('/'), component: NewSession });
const newSession = createRoute({ ...at('/new'), component: NewSession });
const session = createRoute({
  ...at('/sessions/$sessionId'),
  component: lazyRouteComponent(() => import('./conversation/session-page.tsx'), 'SessionPage'),
});
const device = createRoute({
  ...at('/device'),
  component: lazyRouteComponent(() => import('./device/device-page.tsx'), 'DevicePage'),
});
const queue = createRoute({ ...at('/queue'), component: operate('QueuePage') });
const deadLetters = createRoute({ ...at('/dead-letters'), component: operate('DeadLettersPage') });
const sandboxes = createRoute({ ...at('/sandboxes'), component: operate('SandboxesPage') });
const health = createRoute({ ...at('/health'), component: operate('HealthPage') });
const github = createRoute({ ...at('/github'), component: operate('GithubPage') });
const usage = createRoute({ ...at('/usage'), component: operate('UsagePage') });
const people = createRoute({ ...at('/people'), component: operate('PeoplePage') });
const keys = createRoute({ ...at('/keys'), component: operate('KeysPage') });
const templates = createRoute({ ...at('/templates'), component: operate('TemplatesPage') });
const network = createRoute({ ...at('/network'), component: operate('NetworkPage') });
const audit = createRoute({ ...at('/audit'), component: operate('AuditPage') });

export const router = createRouter({
  routeTree: root.addChildren([
    home,
    newSession,
    session,
    device,
    queue,
    deadLetters,
    sandboxes,
    health,
    github,
    usage,
    people,
    keys,
    templates,
    network,
    audit,
  ]),
  defaultPreload: 'intent',
  defaultPendingComponent: () => <Loading />,
  defaultErrorComponent: ({ error, reset }) => (
    <Page title="This page failed">
      <Failure error={error} onRetry={reset} />
    </Page>
  ),
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}

function NotFound() {
  return (
    <Page title="There is nothing here">
      <p className="text-muted">
        The address is not one of Berth's.{' '}
        <Link to="/" className="text-accent underline">
          Back to sessions
        </Link>
      </p>
    </Page>
  );
}
