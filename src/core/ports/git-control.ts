/** What the gateway asks before it carries a sandbox's git to the world, and who does the carrying of pushes. */
export interface GitControl {
  /** By the session's repository and its egress policy as they are now. Fails closed; never rejects. */
  grant(sessionId: string, address: GitAddress): Promise<GitGrant | GitRefusal>;
  /** What the remote is to be given to read with; `null`: nothing. */
  readCredential(url: string, signal: AbortSignal): Promise<{ username: string; password: string } | null>;
  /** Branches and tags of the remote as they are now. Throws as `Git.updateMirror` does. */
  refs(url: string, signal: AbortSignal): Promise<readonly GitRef[]>;
  /**
   * Brings `sha` to the session's branch with the objects of `pack`, and tells it in the session's log. Never forces.
   * `onLine` hears what the remote says. Throws as `GitReceiver.receive` does.
   */
  push(
    sessionId: string,
    grant: PushGrant,
    sha: string,
    pack: AsyncIterable<Uint8Array>,
    onLine: (line: string) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** Tells of a push that was not carried out: `refs` as the sandbox names them, `reason` as git in it is told. Never rejects. */
  refused(sessionId: string, refusal: { refs: readonly string[]; reason: string }): Promise<void>;
}

/** As a sandbox names a repository. */
export interface GitAddress {
  /** With its port where one is named. */
  host: string;
  path: string;
}

export interface GitGrant {
  /** The repository's address as the session has it; nothing of the sandbox's text is in it. */
  url: string;
  /** `null`: the session may only fetch. */
  push: PushGrant | null;
}

export interface PushGrant {
  url: string;
  branch: string;
  baseCommit: string;
}

export interface GitRefusal {
  /** For the agent to read. */
  refused: string;
  /** Another repository of a host that the session knows: where git may look for it by the ordinary way out. */
  elsewhere?: string;
}

export interface GitRef {
  name: string;
  sha: string;
}
