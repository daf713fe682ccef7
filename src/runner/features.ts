import type { Gateway } from './gateway/gateway.ts';
import type { LazyRoutes, Route } from './router.ts';
import type { UpgradeRoute } from './upgrade.ts';

/** How long processes may take to end when the runner is asked to. */
const endTimeoutMs = 2_000;

export interface Features {
  routes: LazyRoutes[];
  upgrades: UpgradeRoute[];
  gatewayConnected(): boolean;
  loadSessions(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Everything but health and exec, each loaded when it is first asked for: an idle runner is half its size
 * without them.
 */
export function createFeatures(options: {
  stateDir: string;
  fileRoots: readonly string[];
  namesPort?: number | null;
}): Features {
  const sessions = once(async (): Promise<Route[]> => {
    const { createSessionRoutes } = await import('./sessions/routes.ts');
    return createSessionRoutes({ stateDir: options.stateDir });
  });
  const processes = once(() => import('./processes/routes.ts'));
  const files = once(async () => {
    const { createFileRoutes } = await import('./files/routes.ts');
    return createFileRoutes(options.fileRoots);
  });
  let gateway: Gateway | null = null;
  const openGateway = once(async () => {
    const { createGateway } = await import('./gateway/gateway.ts');
    gateway = createGateway({ namesPort: options.namesPort ?? null });
    return gateway;
  });
  let processesLoaded = false;
  const loadProcesses = async () => {
    const loaded = await processes();
    processesLoaded = true;
    return loaded;
  };

  return {
    routes: [
      { prefix: '/processes', load: async () => (await loadProcesses()).processRoutes },
      { prefix: '/files', load: files },
      { prefix: '/ports', load: async () => (await import('./ports/routes.ts')).portRoutes },
      { prefix: '/sessions', load: sessions },
    ],
    upgrades: [
      {
        pattern: '/processes/:id/attach',
        protocol: 'berth-process',
        handler: async (ctx) => (await loadProcesses()).attachProcess(ctx),
      },
      {
        pattern: '/ports/:port',
        protocol: 'tcp',
        handler: async (ctx) => (await import('./ports/dial.ts')).dialPort(ctx),
      },
      { pattern: '/gateway', protocol: 'berth-gateway', handler: async (ctx) => (await openGateway()).open(ctx) },
    ],
    gatewayConnected: () => gateway?.connected ?? false,
    async loadSessions() {
      await sessions();
    },
    async close() {
      gateway?.close();
      if (processesLoaded) await (await processes()).processes.endAll(endTimeoutMs);
    },
  };
}

/** Runs `load` once, however many ask; a failure is not kept. */
function once<T>(load: () => Promise<T>): () => Promise<T> {
  let pending: Promise<T> | null = null;
  return () => {
    pending ??= load().catch((error: unknown) => {
      pending = null;
      throw error;
    });
    return pending;
  };
}
