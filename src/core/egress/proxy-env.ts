import { gatewayPort } from '../../protocol/runner-api.ts';

const proxy = `http://127.0.0.1:${gatewayPort}`;
/** The sandbox's own loopback is reached directly: dev servers, and the gateway itself. */
const direct = 'localhost,127.0.0.1,::1';

/**
 * Environment by which programs in a sandbox find the way out. Both spellings, since curl reads `http_proxy`
 * in lower case only and others in upper case only; Node's own `fetch` asks for its switch.
 */
export const proxyEnv: Readonly<Record<string, string>> = {
  HTTP_PROXY: proxy,
  HTTPS_PROXY: proxy,
  NO_PROXY: direct,
  http_proxy: proxy,
  https_proxy: proxy,
  no_proxy: direct,
  NODE_USE_ENV_PROXY: '1',
};
