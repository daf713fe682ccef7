import type { z } from 'zod';
import type { SandboxLimits, SandboxStatus } from '../../../core/ports/sandbox-provider.ts';
import type { LineAddress } from '../line.ts';
import type { SandboxPaths } from './paths.ts';
import type { SandboxRecord, SnapshotRecord } from './record.ts';

/** What a kind of machine has in its records, beyond what every kind has. */
export interface MachineKind {
  record: SandboxRecord;
  snapshot: SnapshotRecord;
  /** What the disks of forks begin with. */
  origin: unknown;
}

/** Where the host reaches a guest: its runner, and its init. */
export interface MachineLines {
  link: LineAddress;
  control: LineAddress;
}

/** A sandbox's parts, of which none need be there. */
export interface SandboxParts {
  id: string;
  paths: SandboxPaths;
  lines: MachineLines;
}

export interface Sandbox<K extends MachineKind> extends SandboxParts {
  record: K['record'];
}

/**
 * `new`: its process is there, and nothing of the guest has ever run in it. `full`: it stands still because there was no room
 * on the host's disk for what it writes; told to go on, it writes that again.
 */
export type MachineState = 'new' | 'running' | 'held' | 'full';

/**
 * What a kind of machine does its own way: starting, holding, saving and loading one, and its disks. What is done when, under
 * which lock, and what a crash in between leads to is the same for every kind, and in this folder.
 */
export interface Machines<K extends MachineKind> {
  recordSchema: z.ZodType<K['record']>;
  /** The host users that machines run as, one each, in a range that nothing else of the host has. */
  uids: { first: number; count: number };
  /** Of a sandbox's directory. */
  directoryMode: number;
  /** How the names of the threads begin that run a guest's processors. */
  vcpuPrefix: string;
  /** What has to be in a sandbox's directory for a memory to be whole, beside the memory. */
  memoryCompanions: readonly string[];
  lines(id: string): MachineLines;
  /** What a memory of such a machine may take on the host's disk. */
  memoryRoomBytes(limits: SandboxLimits): number;

  /** Starts a machine on the sandbox's disk. Resolves when its lines can be opened. Nothing of the sandbox may run. */
  start(sandbox: Sandbox<K>, signal: AbortSignal): Promise<void>;
  /**
   * Starts a machine that goes on from the memory in that file. `committed` is called once it is taken in and before anything
   * runs; after it has resolved the memory is spent.
   */
  load(sandbox: Sandbox<K>, memory: string, signal: AbortSignal, committed: () => Promise<void>): Promise<void>;
  /**
   * Writes the memory of a machine that is held to `<memory>.new`, and its companions to names like it; none is synced. The
   * machine is held afterwards, whether that failed or not.
   */
  save(sandbox: Sandbox<K>, signal: AbortSignal): Promise<void>;
  state(sandbox: Sandbox<K>, signal: AbortSignal): Promise<MachineState>;
  /** Has a machine's processors stand still. Idempotent. */
  hold(id: string, signal: AbortSignal): Promise<void>;
  /** Has them go on. Idempotent. */
  letGo(id: string, signal: AbortSignal): Promise<void>;
  /** Has a machine let go of the network that its card is connected to; the card stays. Idempotent. */
  unplug(id: string, signal: AbortSignal): Promise<void>;
  /** Removes what an ended machine leaves outside of the sandbox's directory. Idempotent. */
  clear(id: string): Promise<void>;

  disks: Disks<K>;
  snapshots: Snapshots<K>;
}

export interface Disks<K extends MachineKind> {
  /** The record with what it says of the disk. `null`: it begins empty. */
  record(base: SandboxRecord, origin: K['origin'] | null): K['record'];
  /** Makes the disk that a new sandbox's record tells of. */
  make(sandbox: Sandbox<K>, origin: K['origin'] | null, signal: AbortSignal): Promise<void>;
  path(sandbox: Sandbox<K>): string;
  /** What forks of it begin with, until it is released. The sandbox's own goes on. */
  lend(source: DiskSource<K>, signal: AbortSignal): Promise<{ origin: K['origin']; release(): Promise<void> }>;
  /** Settles what a crash left half done. Its machine runs or there is none. */
  recover(sandbox: Sandbox<K>): Promise<void>;
  /** Called when a sandbox is gone. */
  forget(record: K['record']): Promise<void>;
}

export type DiskSource<K extends MachineKind> = { sandbox: Sandbox<K>; status: SandboxStatus } | { snapshot: K['snapshot'] };

export interface Snapshots<K extends MachineKind> {
  find(id: string): Promise<K['snapshot'] | null>;
  list(): Promise<K['snapshot'][]>;
  /** A failure leaves nothing. */
  take(snapshot: SnapshotRecord, sandbox: Sandbox<K>, status: SandboxStatus, signal: AbortSignal): Promise<K['snapshot']>;
  /** Of what is its own. `null`: not known. */
  sizeBytes(snapshot: K['snapshot']): Promise<number | null>;
  /** Idempotent. */
  remove(id: string): Promise<void>;
  /** Removes what a crash left of making or removing one. Every sandbox's disk is settled by then. */
  recover(): Promise<void>;
}
