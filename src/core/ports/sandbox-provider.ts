import type { Duplex } from 'node:stream';

/**
 * The contract of a sandbox provider: lifecycle and a byte stream to a port, nothing else. Files,
 * processes, PTYs and agents go through the runner that every sandbox carries.
 *
 * A driver is a factory `(options) => SandboxProvider` with no I/O before the first call. It only
 * translates; time limits, logs and error wrapping live once, in `sandbox/guarded.ts`. Every method
 * takes an `AbortSignal` and rejects with `cancelled` soon after it fires, leaving nothing half-made.
 *
 * Ids are Berth's own (`sbx_...`); a driver keeps what it needs to find its backend's object again
 * on the backend or in `dataDir`, so that `list` after a restart of Berth finds every sandbox.
 */
export interface SandboxProvider {
  readonly name: string;
  readonly capabilities: SandboxCapabilities;

  /** Checks that the backend can be used, and says what was found. Cheap; called at start and by `doctor`. */
  probe(options: CallOptions): Promise<ProviderReport>;

  /**
   * Makes and starts a sandbox; resolves when the runner answers `GET /health`. On failure or abort
   * nothing is left. Throws `conflict` if the id exists, `invalid_request` for limits it cannot
   * enforce, `not_found` for an unknown template, `resource_exhausted` when the host is full.
   */
  create(spec: SandboxSpec, options: CallOptions): Promise<SandboxInfo>;

  /** Says whether sandboxes can start from a template, and makes nothing. Throws `not_found` with field `template`. */
  checkTemplate(name: string, options: CallOptions): Promise<void>;

  /** Every sandbox of this installation that exists, running or not. Never invents an empty list: throws when the backend is away. */
  list(options: CallOptions): Promise<SandboxInfo[]>;

  /** Throws `not_found`. */
  get(id: string, options: CallOptions): Promise<SandboxInfo>;

  /** Ends the processes and keeps the disk. No-op when stopped. */
  stop(id: string, options: CallOptions): Promise<void>;

  /** Starts a stopped sandbox from its disk; resolves when the runner answers. No-op when running. */
  start(id: string, options: CallOptions): Promise<SandboxInfo>;

  /** Ends and removes everything. Idempotent: no-op when absent. Reports failure, never hides it. */
  destroy(id: string, options: CallOptions): Promise<void>;

  /** A byte stream to a TCP port inside; the runner is port 8080. Throws `sandbox_lost` when it does not run. */
  dial(id: string, port: number, options: CallOptions): Promise<Duplex>;

  stats(id: string, options: CallOptions): Promise<SandboxStats>;

  /**
   * Freezes every process; memory stays in RAM. The caller has closed its streams to the runner before.
   * No-op when paused. Refused with `unsupported` where `capabilities.pause` is not `memory`.
   */
  pause(id: string, options: CallOptions): Promise<void>;

  /** Undoes `pause`; resolves when the runner answers. No-op when running. */
  resume(id: string, options: CallOptions): Promise<SandboxInfo>;

  /**
   * Writes processes and memory to disk and ends them: RAM is freed. Works on a running or paused
   * sandbox. Written beside, synced, renamed: after a crash at any instant the sandbox is running,
   * paused or hibernated, never half. A failure leaves it as it was and says why (`upstream_failed`,
   * `resource_exhausted`). No-op when hibernated.
   */
  hibernate(id: string, options: CallOptions): Promise<void>;

  /**
   * Brings a hibernated sandbox back with its processes; resolves when the runner answers. When the
   * image cannot be restored it starts from its disk instead: `restored: 'disk'` with the reason. The
   * files are the same either way.
   */
  wake(id: string, options: CallOptions): Promise<WakeResult>;

  /**
   * A named immutable copy, taken while the source goes on (it may be frozen for moments). `memory`
   * needs `capabilities.snapshot` `memory+disk`. `snapshotId` is the caller's; the same id again is a
   * no-op when the snapshot is whole.
   */
  snapshot(id: string, request: SnapshotRequest, options: CallOptions): Promise<SnapshotInfo>;

  /** Every snapshot of this installation, and of no other: one that Berth has no record of is deleted. */
  listSnapshots(options: CallOptions): Promise<SnapshotInfo[]>;

  /** Idempotent. Sandboxes forked from it are not touched. */
  deleteSnapshot(snapshotId: string, options: CallOptions): Promise<void>;

  /**
   * Makes and starts sandboxes from a live, stopped or hibernated one, or from a snapshot; blocks are
   * shared. Each has its own id, token, labels and limits; processes are not carried over unless the
   * source is a memory snapshot and the driver can. All are there or none.
   */
  fork(source: ForkSource, specs: readonly SandboxSpec[], options: CallOptions): Promise<SandboxInfo[]>;

  /**
   * Gives a sandbox other labels, limits and network, running or not; what runs in it goes on, but for the connections of
   * a network that it loses. Whole or not at all: after a
   * crash `get` tells the old ones or the new ones, and the same call again completes it. Throws `invalid_request`
   * for limits it cannot enforce, `conflict` for one below what is in use, `not_found`. Refused with `unsupported`
   * where `capabilities.update` is `none`, but for a network alone: taken away at any time, and given to one that is stopped.
   */
  update(id: string, change: SandboxUpdate, options: CallOptions): Promise<SandboxInfo>;

  /** Makes objects on the host readable inside, read-only, at `guestObjectsPath`. See `SandboxCapabilities.sharedObjects`. */
  shareObjects?(id: string, objectsDir: string, options: CallOptions): Promise<void>;

  /**
   * Removes what the driver made of templates that this machine has no more, where no sandbox and no snapshot needs it. Called
   * after templates were removed, and after a start. A driver that makes nothing of its own of them does not have it.
   */
  removeUnusedTemplates?(options: CallOptions): Promise<void>;

  /** Releases what the driver holds in this process (sockets, watchers). Sandboxes go on. */
  close(): Promise<void>;
}

export interface WakeResult {
  info: SandboxInfo;
  /** `memory`: every process goes on. `disk`: processes were lost, `reason` says why. */
  restored: 'memory' | 'disk';
  reason: string | null;
}

export type SandboxUpdate = Pick<SandboxSpec, 'labels' | 'limits' | 'network'>;

export interface SnapshotRequest {
  snapshotId: string;
  memory: boolean;
}

export interface SnapshotInfo {
  id: string;
  /** The sandbox it was taken from, which may be gone. */
  sandboxId: string;
  template: string;
  memory: boolean;
  /** Bytes that only it holds; `null` where that is not known. */
  sizeBytes: number | null;
  createdAt: string;
}

export type ForkSource = { sandboxId: string } | { snapshotId: string };

export interface CallOptions {
  signal: AbortSignal;
}

/** Where `shareObjects` shows a git object directory inside the sandbox. */
export const guestObjectsPath = '/berth/objects';
/** HOME of `user` (uid 1000), kept over stop and start. */
export const guestHome = '/home/user';
export const guestUser = { uid: 1000, gid: 1000, name: 'user' } as const;
/** Where the runner's layer (loader, Node, bundle) and the agents' layer are mounted, read-only. */
export const guestRunnerPath = '/berth/runner';
export const guestAgentsPath = '/berth/agents';

/**
 * What a driver can do, as data with values. Absent or `none` means: the matching call is refused
 * with `unsupported`; nothing degrades in silence.
 */
export interface SandboxCapabilities {
  /** `memory`: frozen in RAM. `disk`: stopped with its disk. Default `none`. */
  pause: 'memory' | 'disk' | 'none';
  /** Processes and memory on disk. Default `none`: an idle sandbox can only be stopped. */
  hibernate: 'memory+disk' | 'none';
  snapshot: 'memory+disk' | 'disk' | 'none';
  fork: 'live' | 'snapshot' | 'none';
  /** `dynamic`: any port can be dialled at any time. */
  ports: 'dynamic' | 'declared' | 'none';
  /** `loopback`: no interface but lo. */
  network: readonly NetworkMode[];
  /** Limits that are enforced; one that is not listed is refused in a spec. */
  limits: readonly (keyof SandboxLimits)[];
  /** `live`: labels, limits and network can be changed while it runs. Default `none`, see `update`: no warm sandboxes are kept, for none could become a session's own. */
  update: 'live' | 'none';
  /** Whether a host git object store can be lent to a sandbox. Without it a clone is sent as a bundle. */
  sharedObjects: 'hardlink' | 'none';
  /**
   * What stands between a sandbox and the host's kernel. With `user-kernel` that kernel is itself under the limits of memory and pids:
   * reaching one ends the sandbox (`sandbox_lost`, then `stopped` with its disk), where elsewhere one process is ended or a fork fails.
   * Its `pids` are what it takes of the host's: processes that wait inside may be more, and take memory alone.
   */
  isolation: 'namespaces' | 'user-kernel' | 'vm' | 'remote';
}

/**
 * `none`: loopback only, the gateway reached through the runner. `full`: beside it an interface by which public addresses are reached
 * with any protocol, and nothing else: not the host, its networks or another sandbox, by IPv4 or IPv6, and nobody reaches it. Names are
 * answered by the gateway.
 */
export type NetworkMode = 'none' | 'full';

export interface SandboxLimits {
  /** CPUs, fractions allowed. In each limit 0 means none: where the host cannot enforce it, all else is refused. */
  cpus: number;
  memoryBytes: number;
  pids: number;
  diskBytes: number;
}

export interface SandboxSpec {
  id: string;
  template: string;
  limits: SandboxLimits;
  network: NetworkMode;
  /** Kept by the backend and returned by `list`; keys and values short plain text. */
  labels: Readonly<Record<string, string>>;
  /** The bearer token that the runner demands. */
  runnerToken: string;
  /** Environment of every process in the sandbox. No secret may be in it. */
  env: Readonly<Record<string, string>>;
}

export type SandboxStatus = 'running' | 'paused' | 'hibernated' | 'stopped' | 'broken';

export interface SandboxInfo {
  id: string;
  status: SandboxStatus;
  template: string;
  labels: Readonly<Record<string, string>>;
  limits: SandboxLimits;
  /** Absent means `none`. */
  network?: NetworkMode;
  /** The backend's own name for it, for people. */
  reference: string;
  createdAt: string;
  /** It runs on another version of its template, or with another runner, than a new one would. Absent means no. */
  outdated?: boolean;
}

export interface SandboxStats {
  /** Memory charged to the sandbox, page cache included. */
  memoryBytes: number;
  /** Memory that would be freed by ending it (anonymous and private). `null` where it cannot be known. */
  privateMemoryBytes: number | null;
  cpuTimeMs: number;
  pids: number;
  diskBytes: number;
  /** Of a sandbox with a `full` network, since it was last connected. Absent: it has none. */
  connections?: ConnectionCounts;
}

export interface ConnectionCounts {
  /** Packets that began a connection: each attempt of TCP is one or more. */
  asked: number;
  /** Packets that the firewall dropped. */
  refused: number;
}

export interface ProviderReport {
  usable: boolean;
  /** What was detected, what was chosen and why, in order. */
  findings: readonly Finding[];
}

export interface Finding {
  subject: string;
  status: 'ok' | 'degraded' | 'missing';
  detected: string;
  /** What was chosen and why. */
  choice: string;
  /** How to get better; `null` when there is nothing to gain. */
  advice: string | null;
}
