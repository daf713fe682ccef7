import type { RepositoryRecord } from './store.ts';

/**
 * The forge's App as the server needs it: its registration, its webhooks, and what it may reach.
 * Beside the failures named below: `not_found` while no App is registered, and what `Forge` throws.
 */
export interface ForgeApp {
  status(signal: AbortSignal): Promise<ForgeAppStatus>;
  /**
   * Takes a webhook in: stored for good when this resolves, and worked on behind. `duplicate`: it was
   * there already. Throws `unauthorized` for a signature that is missing or wrong, with nothing
   * stored, and `invalid_request`.
   */
  receive(delivery: IncomingDelivery): Promise<'stored' | 'duplicate'>;

  /**
   * A link that opens the set-up page for an hour, until one App was registered through it. With an App
   * there already, `conflict` unless it is to be replaced.
   */
  createSetupLink(options: { replace: boolean; by: string }): Promise<SetupLink>;
  /** What the set-up page posts to the forge. Throws `forbidden` for a link that is not good, `conflict` for one that was used. */
  openSetup(link: string, organization: string | null): Promise<SetupForm>;
  /** Takes the forge's answer to the page. `cookie` is the state that the page left in this browser. Throws as `openSetup`. */
  finishSetup(answer: { code: string; state: string; cookie: string }, signal: AbortSignal): Promise<RegisteredApp>;
  /** Takes an App that was registered by hand, once the forge has confirmed it. Replaces the one there is. */
  register(given: GivenApp, by: string, signal: AbortSignal): Promise<RegisteredApp>;

  /** Asks the forge what the App may reach, and stores it. Resolves to the repositories that it may reach now. */
  syncRepositories(signal: AbortSignal): Promise<RepositoryRecord[]>;
}

export interface ForgeAppStatus {
  /** `null`: none is registered. */
  app: RegisteredApp | null;
  /** Who has installed it; `null` when the forge does not answer, and `problem` says why. */
  installations: { id: number; account: string; suspended: boolean }[] | null;
  problem: string | null;
}

export interface RegisteredApp {
  appId: number;
  slug: string;
  name: string;
  htmlUrl: string;
  /** Where a person installs it on an account. */
  installUrl: string;
}

export interface IncomingDelivery {
  id: string;
  event: string;
  /** The header as it came, `null` when there was none. */
  signature: string | null;
  /** As it came: the signature is over these bytes. */
  body: Uint8Array;
}

export interface SetupLink {
  url: string;
  expiresAt: string;
}

export interface SetupForm {
  /** Where the form goes, the state included. */
  action: string;
  manifest: string;
  /** To be kept in this browser until the answer comes. */
  state: string;
  expiresAt: string;
  /** Why webhooks would not arrive, or `null`. */
  warning: string | null;
}

export interface GivenApp {
  appId: number;
  privateKey: string;
  webhookSecret: string;
  /** Absent: nobody signs in by the App. */
  clientSecret?: string;
  /** Default: the server's own setting. */
  apiUrl?: string;
}
