import type { Logger } from '../core/ports/logger.ts';
import type { CallOptions, SandboxProvider } from '../core/ports/sandbox-provider.ts';
import { asBerthError, BerthError } from '../protocol/errors.ts';

/** The longest a call may take. Generous: it ends what hangs, it does not hurry what works. */
export interface Deadlines {
  probeMs: number;
  /** The first create may build the template and the runner's layer. */
  createMs: number;
  startMs: number;
  stopMs: number;
  destroyMs: number;
  dialMs: number;
  readMs: number;
  /** Pause and resume. */
  freezeMs: number;
  /** Hibernate and wake; the first may fetch CRIU. */
  checkpointMs: number;
  updateMs: number;
  /** Snapshot, fork and deletion of a snapshot. */
  copyMs: number;
}

export const defaultDeadlines: Deadlines = {
  probeMs: 30_000,
  createMs: 180_000,
  startMs: 60_000,
  stopMs: 60_000,
  destroyMs: 120_000,
  dialMs: 15_000,
  readMs: 30_000,
  freezeMs: 30_000,
  checkpointMs: 300_000,
  copyMs: 180_000,
  updateMs: 15_000,
};

/**
 * What is the same around every driver: a deadline on each call, a log line with its duration, and one
 * error class. A failure that is not a `BerthError` becomes `upstream_failed` with its cause; an abort is
 * `cancelled` when the caller's signal fired and `timeout` when the deadline did.
 */
export function guarded(
  provider: SandboxProvider,
  dependencies: { logger: Logger; deadlines?: Partial<Deadlines> },
): SandboxProvider {
  const deadlines = { ...defaultDeadlines, ...dependencies.deadlines };
  const logger = dependencies.logger.child({ provider: provider.name });

  async function call<T>(
    operation: string,
    sandboxId: string | null,
    limitMs: number,
    options: CallOptions,
    run: (options: CallOptions) => Promise<T>,
  ): Promise<T> {
    const startedMs = performance.now();
    const fields = () => ({
      operation,
      ...(sandboxId === null ? {} : { sandboxId }),
      durationMs: Math.round(performance.now() - startedMs),
    });
    const deadline = AbortSignal.timeout(limitMs);
    try {
      options.signal.throwIfAborted();
      const signal = AbortSignal.any([options.signal, deadline]);
      const result = await withGrace(run({ signal }), signal);
      const level = loudOperations.has(operation) ? 'info' : 'debug';
      logger[level](fields(), `sandbox ${operation}`);
      return result;
    } catch (thrown) {
      const error = toGuardedError(thrown, operation, options.signal, deadline, limitMs);
      const level = error.code === 'cancelled' || error.code === 'not_found' ? 'debug' : 'warn';
      logger[level]({ ...fields(), code: error.code, err: error }, `sandbox ${operation} failed`);
      throw error;
    }
  }

  const shareObjects = provider.shareObjects?.bind(provider);
  const removeUnusedTemplates = provider.removeUnusedTemplates?.bind(provider);
  return {
    name: provider.name,
    get capabilities() {
      return provider.capabilities;
    },
    probe: (options) => call('probe', null, deadlines.probeMs, options, (o) => provider.probe(o)),
    create: (spec, options) => call('create', spec.id, deadlines.createMs, options, (o) => provider.create(spec, o)),
    checkTemplate: (name, options) => call('checkTemplate', null, deadlines.readMs, options, (o) => provider.checkTemplate(name, o)),
    list: (options) => call('list', null, deadlines.readMs, options, (o) => provider.list(o)),
    get: (id, options) => call('get', id, deadlines.readMs, options, (o) => provider.get(id, o)),
    stop: (id, options) => call('stop', id, deadlines.stopMs, options, (o) => provider.stop(id, o)),
    start: (id, options) => call('start', id, deadlines.startMs, options, (o) => provider.start(id, o)),
    destroy: (id, options) => call('destroy', id, deadlines.destroyMs, options, (o) => provider.destroy(id, o)),
    dial: (id, port, options) => call('dial', id, deadlines.dialMs, options, (o) => provider.dial(id, port, o)),
    stats: (id, options) => call('stats', id, deadlines.readMs, options, (o) => provider.stats(id, o)),
    pause: (id, options) => call('pause', id, deadlines.freezeMs, options, (o) => provider.pause(id, o)),
    resume: (id, options) => call('resume', id, deadlines.freezeMs, options, (o) => provider.resume(id, o)),
    hibernate: (id, options) => call('hibernate', id, deadlines.checkpointMs, options, (o) => provider.hibernate(id, o)),
    wake: (id, options) =>
      call('wake', id, deadlines.checkpointMs, options, async (o) => {
        const result = await provider.wake(id, o);
        if (result.restored === 'disk') logger.warn({ sandboxId: id, reason: result.reason }, 'sandbox wake lost the processes and started from disk');
        return result;
      }),
    snapshot: (id, request, options) => call('snapshot', id, deadlines.copyMs, options, (o) => provider.snapshot(id, request, o)),
    listSnapshots: (options) => call('listSnapshots', null, deadlines.readMs, options, (o) => provider.listSnapshots(o)),
    deleteSnapshot: (snapshotId, options) =>
      call('deleteSnapshot', null, deadlines.copyMs, options, (o) => provider.deleteSnapshot(snapshotId, o)),
    fork: (source, specs, options) =>
      call('fork', 'sandboxId' in source ? source.sandboxId : null, deadlines.copyMs, options, (o) => provider.fork(source, specs, o)),
    update: (id, change, options) => call('update', id, deadlines.updateMs, options, (o) => provider.update(id, change, o)),
    ...(shareObjects === undefined
      ? {}
      : {
          shareObjects: (id: string, objectsDir: string, options: CallOptions) =>
            call('shareObjects', id, deadlines.createMs, options, (o) => shareObjects(id, objectsDir, o)),
        }),
    ...(removeUnusedTemplates === undefined
      ? {}
      : {
          removeUnusedTemplates: (options: CallOptions) =>
            call('removeUnusedTemplates', null, deadlines.destroyMs, options, removeUnusedTemplates),
        }),
    close: () => provider.close(),
  };
}

/** What a driver has, once its signal fired, to take back what it began. */
const abortGraceMs = 30_000;

/** The call's own end, which is waited for so that its clean-up is done; but not for ever when it ignores its signal. */
async function withGrace<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const overdue = new Promise<never>((_, reject) => {
    onAbort = () => {
      timer = setTimeout(() => reject(signal.reason as Error), abortGraceMs);
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([running, overdue]);
  } finally {
    clearTimeout(timer);
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}

/** Worth a line in an ordinary log: they change what exists. */
const loudOperations: ReadonlySet<string> = new Set([
  'create',
  'stop',
  'start',
  'destroy',
  'pause',
  'resume',
  'hibernate',
  'wake',
  'snapshot',
  'deleteSnapshot',
  'fork',
]);

function toGuardedError(
  thrown: unknown,
  operation: string,
  caller: AbortSignal,
  deadline: AbortSignal,
  limitMs: number,
): BerthError {
  // An abort surfaces as whatever the driver was doing at the time, so the signals decide.
  const isAbort = thrown === caller.reason || thrown === deadline.reason || isAbortError(thrown);
  if (isAbort && caller.aborted) {
    return new BerthError('cancelled', `sandbox ${operation} was cancelled`, { cause: thrown });
  }
  if (isAbort && deadline.aborted) {
    return new BerthError('timeout', `sandbox ${operation} took longer than ${limitMs} ms`, { cause: thrown });
  }
  if (thrown instanceof BerthError) return thrown;
  const error = asBerthError(thrown);
  if (error.code !== 'internal') return error;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new BerthError('upstream_failed', `sandbox ${operation} failed: ${message}`, { cause: thrown });
}

function isAbortError(thrown: unknown): boolean {
  if (thrown instanceof BerthError) return thrown.code === 'cancelled' || thrown.code === 'timeout';
  return thrown instanceof Error && (thrown.name === 'AbortError' || thrown.name === 'TimeoutError');
}
