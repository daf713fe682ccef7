import { asBerthError, BerthError } from '../../protocol/errors.ts';
import { newId } from '../../protocol/ids.ts';
import type { TemplateJob, TemplateJobEvent, TemplateView } from '../../protocol/templates-api.ts';
import { actorOf } from '../audit/actor.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/logger.ts';
import type { Store, StoreTransaction } from '../ports/store.ts';
import type { BuiltTemplate, JobOptions, TemplateJobs, TemplateWorkshop } from '../ports/templates.ts';
import type { Providers } from '../providers.ts';
import { templateUses } from './template-uses.ts';

/** Templates of this server's machine: what there is, and the jobs that make them and give them away. */
export interface TemplateService {
  list(): Promise<TemplateView[]>;
  /** Throws `not_found`. */
  get(name: string): Promise<TemplateView>;
  /** Begins to build; its log tells how it goes. Throws `conflict` while another job runs. */
  build(name: string, from: string, by: string): Promise<TemplateJob>;
  push(name: string, to: string, by: string): Promise<TemplateJob>;
  /** Throws `conflict` with who uses it. */
  remove(name: string, by: string, signal: AbortSignal): Promise<void>;
  jobs(): Promise<TemplateJob[]>;
  job(id: string): Promise<TemplateJob>;
  /** Resolves when it has ended; one that has is left as it is. */
  cancel(id: string): Promise<TemplateJob>;
  follow(id: string, from: number, heartbeatMs: number, signal: AbortSignal): AsyncGenerator<TemplateJobEvent | null>;
  /** What a process left that ended in the middle of a job is removed, and the job called failed. */
  recover(): Promise<void>;
  /** Gives up what runs. */
  close(): Promise<void>;
}

export interface TemplateServiceOptions {
  workshop: TemplateWorkshop;
  jobFiles: TemplateJobs;
  store: Store;
  providers: Providers;
  clock: Clock;
  logger: Logger;
  /** Whether places may be files of this machine. */
  allowLocal: boolean;
}

const jobTimeoutMs = 60 * 60_000;
const usesTimeoutMs = 60_000;
/** How many of those who use a template are named. */
const named = 5;

interface RunningJob {
  id: string;
  abort: AbortController;
  ended: Promise<void>;
  /** Nothing is left to do but to write down how it ended, which who waits for that may see before the job is forgotten here. */
  isEnding: boolean;
}

export function createTemplateService(options: TemplateServiceOptions): TemplateService {
  const { workshop, jobFiles, store, providers, clock, logger, allowLocal } = options;
  let running: RunningJob | null = null;
  /** Jobs begin and templates go one after the other. */
  let turn: Promise<unknown> = Promise.resolve();
  let closed = false;
  const now = () => clock.now().toISOString();

  function inTurn<T>(run: () => Promise<T>): Promise<T> {
    const mine = turn.then(run);
    turn = mine.catch(() => {});
    return mine;
  }

  async function job(id: string): Promise<TemplateJob> {
    const found = await jobFiles.get(id);
    if (found === null) throw new BerthError('not_found', `there is no template job ${id}`, { field: 'id' });
    return found;
  }

  async function get(name: string): Promise<TemplateView> {
    const found = await workshop.get(name);
    if (found === null) throw new BerthError('not_found', `there is no template ${JSON.stringify(name)}`, { field: 'name' });
    return offered(found);
  }

  async function offered(template: BuiltTemplate): Promise<TemplateView> {
    const signal = AbortSignal.timeout(usesTimeoutMs);
    const asked = providers.names.map(async (provider) => {
      try {
        await providers.of(provider).checkTemplate(template.name, { signal });
        return [provider];
      } catch (error) {
        // One that is down does not have it now.
        logger.debug({ provider, template: template.name, err: error }, 'a provider does not have a template');
        return [];
      }
    });
    return { ...template, providers: (await Promise.all(asked)).flat() };
  }

  function checkPlace(place: string, field: 'from' | 'to'): void {
    if (!workshop.isLocal(place) || allowLocal) return;
    throw new BerthError('invalid_request', 'this server takes no files of its own machine (BERTH_LOCAL_REPOSITORIES)', { field });
  }

  /** Throws `conflict` while a job is at work. */
  async function requireRest(): Promise<void> {
    if (running?.isEnding === true) await running.ended;
    if (running !== null) throw new BerthError('conflict', `a template job runs: ${running.id}`, { context: { job: running.id } });
  }

  async function purge(signal: AbortSignal): Promise<void> {
    const uses = await templateUses(store, providers, signal);
    await workshop.purge((name) => uses.has(name));
    for (const name of providers.names) await providers.of(name).removeUnusedTemplates?.({ signal });
  }

  async function purgeLater(): Promise<void> {
    try {
      await purge(AbortSignal.timeout(usesTimeoutMs));
    } catch (error) {
      // What is left is removed after the next job.
      logger.warn({ err: error }, 'old versions of templates could not be removed');
    }
  }

  /** Runs a job to its end and writes that down. `work` resolves to what is committed with the audit entry. */
  function begin(
    kind: TemplateJob['kind'],
    template: string,
    place: string,
    by: string,
    work: (job: JobOptions) => Promise<{ version: string; commit: (tx: StoreTransaction) => Promise<void> }>,
  ): Promise<TemplateJob> {
    return inTurn(async () => {
      if (closed) throw new BerthError('unavailable', 'the server is closing');
      await requireRest();
      const started: TemplateJob = {
        id: newId('templateJob'),
        kind,
        template,
        place,
        status: 'running',
        by,
        startedAt: now(),
        endedAt: null,
        version: null,
        error: null,
      };
      await jobFiles.save(started);
      const abort = new AbortController();
      const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(jobTimeoutMs)]);
      const say = (text: string) => jobFiles.append(started.id, text);
      const ended = finish(started, abort.signal, async () => {
        const { version, commit } = await work({ say, signal });
        await store.transaction(commit);
        if (kind === 'build') await purgeLater();
        return version;
      })
        .catch((error: unknown) => logger.error({ err: error, job: started.id }, 'the end of a template job could not be written'))
        .finally(() => (running = null));
      running = { id: started.id, abort, ended, isEnding: false };
      return started;
    });
  }

  async function finish(started: TemplateJob, cancelled: AbortSignal, run: () => Promise<string>): Promise<void> {
    try {
      const version = await run().finally(() => {
        if (running !== null) running.isEnding = true;
      });
      jobFiles.append(started.id, `done: version ${version}`);
      await jobFiles.save({ ...started, status: 'succeeded', version, endedAt: now() });
    } catch (thrown) {
      const status = cancelled.aborted ? 'cancelled' : 'failed';
      const known = asBerthError(thrown);
      const error = cancelled.aborted
        ? { code: 'cancelled', message: 'it was cancelled' }
        : { code: known.code, message: known.code === 'internal' ? 'an unexpected failure; the server\'s log has it' : known.message };
      logger[status === 'failed' ? 'warn' : 'info']({ err: thrown, job: started.id, template: started.template }, `template ${started.kind} ${status}`);
      jobFiles.append(started.id, `${status}: ${error.message}`);
      await jobFiles.save({ ...started, status, error, endedAt: now() });
    }
  }

  return {
    list: async () => Promise.all((await workshop.list()).map(offered)),
    get,

    async build(name, from, by) {
      checkPlace(from, 'from');
      return begin('build', name, from, by, async (options) => {
        const version = await workshop.build(name, from, options);
        return {
          version,
          async commit(tx) {
            await tx.appendAudit([{ at: now(), actor: actorOf(by), action: 'template.built', target: name, sessionId: null, detail: { version, from } }]);
            // Last, and the same again when the transaction is run again: what is refused here is not committed.
            await workshop.publish(name, version);
          },
        };
      });
    },

    async push(name, to, by) {
      checkPlace(to, 'to');
      const { version } = await get(name);
      return begin('push', name, to, by, async (options) => {
        await workshop.push(name, to, options);
        return {
          version: version ?? '',
          commit: (tx) =>
            tx.appendAudit([{ at: now(), actor: actorOf(by), action: 'template.pushed', target: name, sessionId: null, detail: { version, to } }]),
        };
      });
    },

    remove: (name, by, signal) =>
      inTurn(async () => {
        const { version } = await get(name);
        if (version === null) throw new BerthError('conflict', `the template "${name}" is made of this machine and cannot be removed`, { field: 'name' });
        await requireRest();
        // First, so that nobody begins to use it who is not seen by the look at who does.
        await workshop.hide(name);
        try {
          const users = (await templateUses(store, providers, signal)).get(name) ?? [];
          if (users.length > 0) {
            const more = users.length > named ? ` and ${users.length - named} more` : '';
            throw new BerthError('conflict', `the template "${name}" is used by ${users.slice(0, named).join(', ')}${more}`, {
              field: 'name',
              context: { usedBy: users.slice(0, 50) },
            });
          }
          await store.transaction(async (tx) => {
            await tx.appendAudit([{ at: now(), actor: actorOf(by), action: 'template.removed', target: name, sessionId: null, detail: { version } }]);
            await workshop.forget(name);
          });
        } catch (error) {
          await workshop.restore(name);
          throw error;
        }
        await purgeLater();
      }),

    jobs: () => jobFiles.list(),
    job,

    async cancel(id) {
      const found = await job(id);
      if (running?.id === id) {
        const { abort, ended } = running;
        abort.abort(new BerthError('cancelled', 'the job was cancelled'));
        await ended;
      }
      return found.status === 'running' ? job(id) : found;
    },

    follow: (id, from, heartbeatMs, signal) => jobFiles.follow(id, from, heartbeatMs, signal),

    async recover() {
      await workshop.recover();
      for (const left of await jobFiles.list()) {
        if (left.status !== 'running') continue;
        const error = { code: 'unavailable', message: 'the server ended in the middle of it' };
        await jobFiles.save({ ...left, status: 'failed', error, endedAt: now() });
        logger.warn({ job: left.id }, 'a template job did not outlive the server');
      }
      // What cannot be removed is no reason not to start.
      await purgeLater();
    },

    async close() {
      closed = true;
      const job = running;
      job?.abort.abort(new BerthError('cancelled', 'the server was stopped'));
      await job?.ended;
      await turn;
    },
  };
}
