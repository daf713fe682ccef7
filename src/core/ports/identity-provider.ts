import type { UserRole } from '../../protocol/users-api.ts';

/**
 * A service that vouches for who a browser's person is: GitHub, or an OpenID Connect provider. It does no I/O before the first
 * call, and keeps nothing of a person.
 */
export interface IdentityProvider {
  /** In addresses: `github`, or as the configuration names it. */
  readonly name: string;
  readonly kind: 'github' | 'oidc';
  readonly label: string;
  /** Whether people can be sent there now. */
  isReady(): Promise<boolean>;
  /** Who vouches, as `ProvenIdentity` has it; `null` while that is not known. */
  issuer(): Promise<string | null>;
  /** The address to send the browser to. Throws `unavailable`, and `conflict` while it is not ready. */
  begin(way: IdentityWay, signal: AbortSignal): Promise<string>;
  /**
   * Takes what the browser brought back: the query of the address that it was sent to. Whoever calls has used `way` up. Throws
   * `forbidden` when the person or the service said no, or the answer is not one to `way`; `unavailable`, `upstream_failed`.
   */
  finish(way: IdentityWay, query: string, signal: AbortSignal): Promise<ProvenIdentity>;
}

/** One browser's way there and back. All but `redirectUrl` are random and used for it alone. */
export interface IdentityWay {
  redirectUrl: string;
  state: string;
  nonce: string;
  codeVerifier: string;
}

/** Who somebody is, by the word of a provider. */
export interface ProvenIdentity {
  issuer: string;
  /** Never another account's, unlike a name or an address. */
  subject: string;
  /** As its holder knows the account. */
  label: string;
  displayName: string | null;
  /** Names to make a handle of, the best first. */
  names: readonly string[];
  /** By the configuration's rules; `null`: they let him not in, and `refusal` says why. */
  admission: AdmissionRule | null;
  refusal: string;
}

/** What somebody becomes who is let in by a rule. */
export interface AdmissionRule {
  role: UserRole;
  teams: readonly string[];
}
