import { z } from 'zod';
import {
  githubStatus,
  repository,
  setupLink,
  task,
  type GithubStatus,
  type Repository,
  type RepositoryChange,
  type SetupLink,
  type Task,
} from '../../protocol/forge-api.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

/** The GitHub App, the repositories it may reach, and the tasks that came of them. */
export interface GithubResource {
  status(options?: CallOptions): Promise<GithubStatus>;
  /** A link for a browser that registers the App. Throws `conflict` with an App there, unless it is to be replaced. */
  setupLink(options?: CallOptions & { replace?: boolean }): Promise<SetupLink>;
  repositories(options?: CallOptions): Promise<Repository[]>;
  changeRepository(id: string, change: RepositoryChange, options?: CallOptions): Promise<Repository>;
  /** Newest first. */
  tasks(options?: CallOptions): Promise<Task[]>;
}

export function createGithubResource(transport: Transport): GithubResource {
  const repositories = z.object({ repositories: z.array(repository) });
  const tasks = z.object({ tasks: z.array(task) });
  return {
    status: (options) => transport.json(githubStatus, 'GET', '/api/github', options),
    setupLink: ({ replace = false, ...options } = {}) =>
      transport.json(setupLink, 'POST', '/api/github/setup-link', { json: { replace }, ...options }),
    async repositories(options) {
      return (await transport.json(repositories, 'GET', '/api/repositories', options)).repositories;
    },
    changeRepository: (id, change, options) =>
      transport.json(repository, 'PATCH', `/api/repositories/${encodeURIComponent(id)}`, { json: change, ...options }),
    async tasks(options) {
      return (await transport.json(tasks, 'GET', '/api/tasks', options)).tasks;
    },
  };
}
