import { createHash, randomBytes } from 'node:crypto';
import { createRoute, z } from '@hono/zod-openapi';
import type { Forge } from '../../core/ports/forge.ts';
import type { Store, TaskTrigger } from '../../core/ports/store.ts';
import type { TaskService } from '../../core/tasks/task-service.ts';
import { visibleTasks } from '../../core/users/visibility.ts';
import { viewTask } from '../../core/tasks/task-view.ts';
import { BerthError } from '../../protocol/errors.ts';
import { createTaskRequest, task, taskState, type Task } from '../../protocol/forge-api.ts';
import type { Extension } from '../app.ts';
import { idempotent } from '../idempotency.ts';
import { failures, json, jsonBody, tokenNeeded } from '../schemas.ts';

const issueTimeoutMs = 60_000;

export interface TaskRoutesOptions {
  store: Store;
  tasks: TaskService;
  forge: Forge;
}

/** Send-and-do jobs: what became of them, and asking for one without a word on the forge. */
export function taskRoutes({ store, tasks, forge }: TaskRoutesOptions): Extension {
  return (app) => {
    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/tasks',
        security: tokenNeeded,
        request: {
          query: z.object({
            state: z.string().max(100).optional(),
            limit: z.coerce.number().int().min(1).max(200).default(50),
          }),
        },
        responses: { 200: json(z.object({ tasks: z.array(task) }), 'Newest first'), ...failures },
      }),
      async (c) => {
        const { state, limit } = c.req.valid('query');
        const records = await store.read.tasksInState(state === undefined ? taskState.options : parseStates(state));
        const visible = await visibleTasks(store.read, c.get('identity'), records);
        return c.json({ tasks: visible.toReversed().slice(0, limit).map(viewTask) }, 200);
      },
    );

    app.openapi(
      createRoute({
        method: 'get',
        path: '/api/tasks/{id}',
        security: tokenNeeded,
        request: { params: z.object({ id: z.string().min(1).max(100) }) },
        responses: { 200: json(task, 'The task'), ...failures },
      }),
      async (c) => {
        const record = await store.read.task(c.req.valid('param').id);
        if (record === null) throw new BerthError('not_found', 'there is no such task', { field: 'id' });
        return c.json(viewTask(record), 200);
      },
    );

    app.openapi(
      createRoute({
        method: 'post',
        path: '/api/tasks',
        security: tokenNeeded,
        request: jsonBody(createTaskRequest),
        responses: { 202: json(task, 'The task that took the request in'), ...failures },
      }),
      async (c) => {
        const body = c.req.valid('json');
        const { user } = c.get('identity');
        const key = c.req.header('idempotency-key');
        const accepted = await idempotent<Task>(store, `tasks:${user}`, key, body, async (save) => {
          const repository = await store.read.repository(body.repositoryId);
          if (repository === null || repository.forge === null) {
            throw new BerthError('not_found', 'there is no such repository', { field: 'repositoryId' });
          }
          await forge.readIssue(repository, body.issueNumber, AbortSignal.timeout(issueTimeoutMs)).catch((error: unknown) => {
            if (!(error instanceof BerthError) || error.code !== 'not_found') throw error;
            throw new BerthError('not_found', `there is no issue ${body.issueNumber}`, { field: 'issueNumber', cause: error });
          });
          const existing = await store.read.taskByNumber(repository.id, body.issueNumber);
          if (existing !== null && existing.state !== 'failed' && body.text === undefined) {
            throw new BerthError('conflict', `task ${existing.id} has this issue already; say in text what to do next`, {
              field: 'text',
            });
          }
          const trigger = triggerFor(body, user, key);
          return viewTask(await tasks.request(repository, trigger, (tx, taken) => save(tx, viewTask(taken))));
        });
        return c.json(accepted, 202);
      },
    );
  };
}

/** A number that is the same for the same key, so that a request repeated after a crash is one. */
function triggerFor(body: z.infer<typeof createTaskRequest>, user: string, key: string | undefined): TaskTrigger {
  const bytes = key === undefined ? randomBytes(6) : createHash('sha256').update(`${user} ${key}`).digest();
  const id = bytes.readUIntBE(0, 6);
  return {
    kind: 'request',
    id,
    number: body.issueNumber,
    login: user,
    author: { name: user, email: '' },
    text: body.text ?? '',
    deliveryId: `request-${id}`,
  };
}

function parseStates(list: string) {
  const parsed = taskState.array().safeParse(list.split(','));
  if (!parsed.success) {
    throw new BerthError('invalid_request', `state: one or more of ${taskState.options.join(', ')}, with commas`, {
      field: 'state',
    });
  }
  return parsed.data;
}
