import type { KeyScope, ModelApi } from '../../protocol/keys.ts';

/** Finds the real credential for a session's model calls. */
export interface ModelCredentials {
  /**
   * The nearest one there is: of the session's owner, of its team, the server's, then that of the server's environment; `null`
   * without any. Renewed first when it is about to end. Throws `unavailable` when it cannot be renewed now.
   */
  find(sessionId: string, api: ModelApi): Promise<ModelCredential | null>;
}

export interface ModelCredential {
  /** For people and the log: `name (scope)`. */
  label: string;
  scope: KeyScope | 'environment';
  kind: 'api_key' | 'oauth';
  /** `null`: the API's own address. */
  baseUrl: string | null;
  secret: string;
  /** The upstream refused it. True when it is renewed, so that the call may be made again. */
  refused(): Promise<boolean>;
}
