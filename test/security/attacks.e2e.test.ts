import { afterAll, beforeAll, describe } from 'vitest';
import { egressCases, resolved } from './cases/egress.ts';
import { escapeCases } from './cases/escapes.ts';
import { fileCases } from './cases/files.ts';
import { gatewayCases, modelKey, openUpstream, type Upstream } from './cases/gateway.ts';
import { impostorCases } from './cases/impostor.ts';
import { resourceCases } from './cases/resources.ts';
import { buildResolver, openRange, type Range } from './range.ts';

/** Everything that a hostile sandbox can try, tried in a real one. `BERTH_TEST_PROVIDERS=runsc` runs the same on gVisor. */
let range: Range;
let upstream: Upstream;

beforeAll(async () => {
  upstream = await openUpstream();
  range = await openRange({
    ...(await buildResolver(resolved)),
    ANTHROPIC_BASE_URL: upstream.url,
    ANTHROPIC_API_KEY: modelKey,
  });
});

afterAll(async () => {
  await range?.close();
  upstream?.close();
});

describe('escapes', () => escapeCases(() => range));
describe('files', () => fileCases(() => range));
describe('egress', () => egressCases(() => range));
describe('gateway', () => gatewayCases(() => range, () => upstream));
describe('impostor', () => impostorCases(() => range));
describe('resources', () => resourceCases(() => range));
