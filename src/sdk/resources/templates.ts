import {
  templateJob,
  templateJobEvent,
  templateJobList,
  templateList,
  templateView,
  type TemplateJob,
  type TemplateJobEvent,
  type TemplateView,
} from '../../protocol/templates-api.ts';
import { BerthError } from '../../protocol/errors.ts';
import { backoffMs, delay } from '../delay.ts';
import { readSse } from '../sse.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

/** What sandboxes start from. Building and pushing are jobs that go on without the caller. */
export interface TemplatesResource {
  list(options?: CallOptions): Promise<TemplateView[]>;
  get(name: string, options?: CallOptions): Promise<TemplateView>;
  /** Throws `conflict` while another job runs. */
  build(name: string, input: { from: string }, options?: CallOptions): Promise<TemplateJob>;
  push(name: string, input: { to: string }, options?: CallOptions): Promise<TemplateJob>;
  /** Throws `conflict` when it is used. */
  remove(name: string, options?: CallOptions): Promise<void>;
  jobs(options?: CallOptions): Promise<TemplateJob[]>;
  job(id: string, options?: CallOptions): Promise<TemplateJob>;
  /** Resolves to the job as it ended. */
  cancel(id: string, options?: CallOptions): Promise<TemplateJob>;
  /** The log, each line once, over lost connections, and at last the end. */
  follow(id: string, options?: CallOptions): AsyncGenerator<TemplateJobEvent>;
}

/** Lost connections in a row, with nothing heard between them. */
const maxAttempts = 5;

export function createTemplatesResource(transport: Transport): TemplatesResource {
  const path = (name: string, suffix = '') => `/api/templates/${encodeURIComponent(name)}${suffix}`;
  const jobPath = (id: string, suffix = '') => `/api/template-jobs/${encodeURIComponent(id)}${suffix}`;

  async function* follow(id: string, { signal }: CallOptions = {}): AsyncGenerator<TemplateJobEvent> {
    let last = 0;
    for (let attempt = 0; ; attempt++) {
      try {
        for await (const message of readSse(transport, jobPath(id, '/events'), { query: { from: last }, signal })) {
          const event = templateJobEvent.safeParse(JSON.parse(message.data));
          if (!event.success || event.data.seq <= last) continue;
          attempt = 0;
          last = event.data.seq;
          yield event.data;
          if (event.data.type === 'ended') return;
        }
        throw new BerthError('unavailable', 'the server closed the stream of the job');
      } catch (error) {
        if (!(error instanceof BerthError) || error.code !== 'unavailable' || attempt >= maxAttempts) throw error;
      }
      await delay(backoffMs(attempt), signal);
    }
  }

  return {
    list: async (options) => (await transport.json(templateList, 'GET', '/api/templates', options)).templates,
    get: (name, options) => transport.json(templateView, 'GET', path(name), options),
    build: (name, input, options) => transport.json(templateJob, 'POST', path(name, '/build'), { json: input, ...options }),
    push: (name, input, options) => transport.json(templateJob, 'POST', path(name, '/push'), { json: input, ...options }),
    remove: (name, options) => transport.empty('DELETE', path(name), options),
    jobs: async (options) => (await transport.json(templateJobList, 'GET', '/api/template-jobs', options)).jobs,
    job: (id, options) => transport.json(templateJob, 'GET', jobPath(id), options),
    cancel: (id, options) => transport.json(templateJob, 'POST', jobPath(id, '/cancel'), { idempotent: true, ...options }),
    follow,
  };
}
