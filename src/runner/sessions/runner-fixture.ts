import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRouter } from '../router.ts';
import { createSessionRoutes } from './routes.ts';

/** For tests: a process with nothing but the session routes. `node runner-fixture.ts <stateDir>` prints its port. */
const stateDir = process.argv[2];
if (stateDir === undefined) throw new Error('usage: runner-fixture.ts <stateDir>');
const router = createRouter(await createSessionRoutes({ stateDir }));
const server = createServer((req, res) => void router.handle(req, res));
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
