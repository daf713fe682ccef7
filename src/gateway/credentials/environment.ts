import type { ModelCredential } from '../../core/ports/model-credentials.ts';
import { modelApiRules, type ModelApi, type ModelUpstreams } from '../upstreams.ts';

/** The server's credentials of its environment, for whoever has no other. */
export function environmentCredentials(upstreams: ModelUpstreams): (api: ModelApi) => ModelCredential | null {
  return (api) => {
    const upstream = upstreams[api];
    if (upstream === undefined) return null;
    const isToken = 'authToken' in upstream;
    return {
      label: `${modelApiRules[api].setting} of the Berth server`,
      scope: 'environment',
      kind: isToken ? 'oauth' : 'api_key',
      baseUrl: upstream.baseUrl,
      secret: isToken ? upstream.authToken : upstream.apiKey,
      refused: async () => false,
    };
  };
}
