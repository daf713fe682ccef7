import type { EgressTarget } from '../egress/judge-egress.ts';

/** A secret as it goes into a request, in the clear: for the gateway alone. */
export interface InjectedSecret {
  name: string;
  header: string;
  /** What the header says, the value within. */
  headerValue: string;
  /** What must not come back: the value, and as it stands in the header. */
  needles: readonly string[];
}

/** What the egress proxy asks before it carries a plain request out. */
export interface SecretControl {
  /** Those for this host that the session's owner and team have; the owner's go before the team's for one header. Throws when they cannot be read. */
  secretsFor(sessionId: string, target: EgressTarget): Promise<readonly InjectedSecret[]>;
  /** Returns at once. */
  recordUse(sessionId: string, target: EgressTarget, secrets: readonly InjectedSecret[]): void;
}
