import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { RunnerHealth } from '../protocol/runner-api.ts';
import { createAuthorizer } from './auth.ts';
import { execRoute } from './exec.ts';
import { createFeatures } from './features.ts';
import { createRouter, sendError, sendJson, sendNoContent, type Route } from './router.ts';
import { handleUpgrade } from './upgrade.ts';

export interface RunnerServerOptions {
  /** `null` until it is known. */
  token: () => string | null;
  version: string;
  stateDir: string;
  fileRoots: readonly string[];
  /** Absent or `null`: no names are answered. */
  namesPort?: number | null;
  /** Called at each request. */
  onActivity(): void;
  /** Called when it has been answered that the socket goes away for a while. */
  onRest(): void;
}

export interface RunnerServer {
  /** One per address; all answer alike. */
  createListener(): Server;
  /** Loads the sessions, which closes turns that a crash left open. */
  loadSessions(): Promise<void>;
  /** Ends the processes. Resolves when they are gone or were killed. */
  close(): Promise<void>;
}

export function createRunnerServer(options: RunnerServerOptions): RunnerServer {
  const authorize = createAuthorizer(options.token);
  const features = createFeatures(options);
  const healthRoute: Route = {
    method: 'GET',
    pattern: '/health',
    handler({ res }) {
      const health: RunnerHealth = {
        version: options.version,
        pid: process.pid,
        uptimeMs: process.uptime() * 1000,
        gatewayConnected: features.gatewayConnected(),
      };
      sendJson(res, 200, health);
    },
  };
  const restRoute: Route = {
    method: 'POST',
    pattern: '/rest',
    handler({ res }) {
      res.once('finish', () => options.onRest());
      sendNoContent(res);
    },
  };
  const router = createRouter([healthRoute, restRoute, execRoute], features.routes);
  const check = (req: IncomingMessage) => authorize(req.headers.authorization);

  async function onRequest(req: IncomingMessage, res: ServerResponse): Promise<void> {
    options.onActivity();
    try {
      if (!(req.method === 'GET' && req.url === '/health')) check(req);
    } catch (error) {
      sendError(req, res, error);
      return;
    }
    await router.handle(req, res);
  }

  return {
    createListener() {
      const server = createServer({
        // Connections are pooled by the one client, which must not find them closed under its hands.
        keepAliveTimeout: 0,
        // An upload may take as long as it takes.
        requestTimeout: 0,
        noDelay: true,
      });
      server.on('request', (req, res) => void onRequest(req, res));
      // The upload route asks for the body itself, once it knows that it can be written.
      server.on('checkContinue', (req, res) => {
        if (req.method !== 'PUT' || !req.url?.startsWith('/files/content')) res.writeContinue();
        void onRequest(req, res);
      });
      server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
        options.onActivity();
        void handleUpgrade(features.upgrades, check, req, socket, head);
      });
      return server;
    },
    loadSessions: () => features.loadSessions(),
    close: () => features.close(),
  };
}
