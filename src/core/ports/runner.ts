import type { Duplex } from 'node:stream';
import type {
  AgentSessionInfo,
  AgentSessionSpec,
  AgentTurn,
  ExecRequest,
  FileChange,
  FileInfo,
  PermissionAnswer,
  PortInfo,
  ProcessInfo,
  ProcessSpec,
  RunnerHealth,
} from '../../protocol/runner-api.ts';
import type { JournalEvent } from '../../protocol/events.ts';

/**
 * A client of one sandbox's runner. The runner lives beside hostile code: every answer is checked
 * and bounded, and has its time. All calls throw `sandbox_lost` when the stream cannot be made or breaks, `timeout` when no
 * answer comes, `upstream_failed` for one that no runner gives, else the runner's own code (`not_found`, `path_not_allowed`, ...).
 */
export interface RunnerClient {
  health(signal: AbortSignal): Promise<RunnerHealth>;
  exec(request: ExecRequest, signal: AbortSignal): Promise<ExecOutput>;

  startProcess(spec: ProcessSpec, signal: AbortSignal): Promise<ProcessInfo>;
  listProcesses(signal: AbortSignal): Promise<ProcessInfo[]>;
  getProcess(id: string, signal: AbortSignal): Promise<ProcessInfo>;
  /** Raw stream of frames; see `protocol/frames.ts`. Closing it leaves the process running. */
  attachProcess(id: string, fromByte: number, signal: AbortSignal): Promise<Duplex>;
  signalProcess(id: string, signalName: string, signal: AbortSignal): Promise<void>;
  resizeProcess(id: string, size: { cols: number; rows: number }, signal: AbortSignal): Promise<void>;

  statFile(path: string, signal: AbortSignal): Promise<FileInfo>;
  listFiles(path: string, signal: AbortSignal): Promise<FileInfo[]>;
  readFile(path: string, range: ByteRange, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  writeFile(path: string, body: AsyncIterable<Uint8Array>, options: WriteFileOptions, signal: AbortSignal): Promise<FileInfo>;
  makeDirectory(path: string, options: { parents: boolean }, signal: AbortSignal): Promise<FileInfo>;
  moveFile(from: string, to: string, signal: AbortSignal): Promise<FileInfo>;
  removeFile(path: string, options: { recursive: boolean }, signal: AbortSignal): Promise<void>;
  watchFiles(path: string, options: { recursive: boolean }, signal: AbortSignal): AsyncIterable<FileChange>;

  listPorts(signal: AbortSignal): Promise<PortInfo[]>;
  dialPort(port: number, signal: AbortSignal): Promise<Duplex>;
  /** After this the runner opens HTTP/2 streams towards us on the returned stream. */
  openGatewayChannel(port: number, signal: AbortSignal): Promise<Duplex>;

  ensureAgentSession(sessionId: string, spec: AgentSessionSpec, signal: AbortSignal): Promise<AgentSessionInfo>;
  getAgentSession(sessionId: string, signal: AbortSignal): Promise<AgentSessionInfo>;
  startTurn(sessionId: string, turn: AgentTurn, signal: AbortSignal): Promise<void>;
  cancelTurn(sessionId: string, turnId: string | null, signal: AbortSignal): Promise<void>;
  answerPermission(sessionId: string, requestId: string, answer: PermissionAnswer, signal: AbortSignal): Promise<void>;
  setMode(sessionId: string, modeId: string, signal: AbortSignal): Promise<void>;
  setConfig(sessionId: string, configId: string, value: string | boolean, signal: AbortSignal): Promise<void>;
  closeAgentSession(sessionId: string, signal: AbortSignal): Promise<void>;
  /**
   * Events with `seq > from`, ascending, then new ones as they come, until the signal fires or the stream breaks (`sandbox_lost`).
   * Throws `upstream_failed` for what no journal holds: a longer line, a number out of order.
   */
  followJournal(sessionId: string, from: number, signal: AbortSignal): Promise<JournalStream>;

  close(): void;
}

export interface JournalStream {
  journalId: string;
  lastSeq: number;
  events: AsyncIterable<JournalEntry>;
}

export interface JournalEntry {
  event: JournalEvent;
  /** As it stands in the journal. */
  sizeBytes: number;
}

export interface ByteRange {
  offset?: number;
  lengthBytes?: number;
}

export interface WriteFileOptions {
  mode?: number;
  makeParents: boolean;
}

export interface ExecOutput {
  exitCode: number | null;
  signal: string | null;
  timedOut: boolean;
  truncated: boolean;
  stdout: Uint8Array;
  stderr: Uint8Array;
  durationMs: number;
}

/** Makes clients; one per sandbox, connections kept alive inside. */
export type ConnectRunner = (sandbox: { id: string; provider: string }) => RunnerClient;
