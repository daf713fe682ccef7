import { gatewayPort } from '../../protocol/runner-api.ts';

/** Where git in a sandbox finds this repository with the installation's credential; `null` for one on the host's disk. */
export function gitGatewayUrl(repositoryUrl: string): string | null {
  const { protocol, host, pathname } = new URL(repositoryUrl);
  return protocol === 'https:' || protocol === 'http:' ? `http://127.0.0.1:${gatewayPort}/git/${host}${pathname}` : null;
}
