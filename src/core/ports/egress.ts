import type { EgressJudgement, EgressTarget } from '../egress/judge-egress.ts';

/** What the gateway asks before it connects anything of a sandbox to the world. */
export interface EgressControl {
  /** By the session's policy as it is now. Fails closed: an unknown session may reach nothing. Never rejects. */
  judge(sessionId: string, target: EgressTarget): Promise<EgressJudgement>;
  /** Whether its sandbox has a network of its own, and so needs names. Fails closed, never rejects. */
  hasFullNetwork(sessionId: string): Promise<boolean>;
  /** What became of a connection; a private address turns a yes into a no. Returns at once. */
  record(sessionId: string, target: EgressTarget, judgement: EgressJudgement): void;
}
