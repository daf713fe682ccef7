import { useQuery, useQueryClient } from '@tanstack/react-query';
import { ExternalLink } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { Repository, SetupLink, Task } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { githubQuery, repositoriesQuery, tasksQuery } from '../queries.ts';
import { Button } from '../ui/button.tsx';
import { Card, Page } from '../ui/page.tsx';
import { Failure, Loading } from '../ui/states.tsx';
import { clockTime } from '../ui/time.ts';
import { toastFailure } from '../ui/toasts.tsx';
import { SessionLink } from '../sessions/session-link.tsx';
import { Table } from './table.tsx';

export function GithubPage() {
  const status = useQuery(githubQuery);
  const repositories = useQuery(repositoriesQuery);
  const tasks = useQuery(tasksQuery);
  return (
    <Page title="GitHub" about="The App that brings issues here and takes pull requests back.">
      {status.isPending && <Loading label="Asking GitHub" />}
      {status.isError && <Failure error={status.error} onRetry={() => void status.refetch()} />}
      {status.data !== undefined && (
        <div className="space-y-5">
          <Card className="p-4">
            {status.data.app === null ? (
              <SetUp />
            ) : (
              <div className="space-y-2 text-[0.93rem]">
                <p>
                  <strong>{sanitizeLine(status.data.app.name)}</strong> is registered.{' '}
                  <Out href={status.data.app.htmlUrl}>Its page</Out>
                  {' · '}
                  <Out href={status.data.app.installUrl}>Choose repositories</Out>
                </p>
                {status.data.problem !== null && <p className="text-bad">{sanitizeLine(status.data.problem)}</p>}
                <p className="text-muted">
                  {status.data.installations === null || status.data.installations.length === 0
                    ? 'It is installed nowhere yet.'
                    : `Installed for ${status.data.installations.map((each) => sanitizeLine(each.account) + (each.suspended ? ' (suspended)' : '')).join(', ')}.`}
                </p>
              </div>
            )}
          </Card>
          {repositories.data !== undefined && repositories.data.length > 0 && (
            <Table label="Repositories" head={['Repository', 'Label', 'Mention', 'Agent', '']}>
              {repositories.data.map((repository) => (
                <RepositoryRow key={repository.id} repository={repository} />
              ))}
            </Table>
          )}
          {tasks.data !== undefined && tasks.data.length > 0 && (
            <Tasks tasks={tasks.data} repositories={repositories.data ?? []} />
          )}
        </div>
      )}
    </Page>
  );
}

/** From no App to one: a link to GitHub, which makes it and sends its keys here. */
function SetUp() {
  const [link, setLink] = useState<SetupLink | null>(null);
  return (
    <div className="space-y-3 text-[0.93rem]">
      <h2 className="font-semibold">Connect GitHub</h2>
      <ol className="list-decimal space-y-1 pl-5 text-muted">
        <li>GitHub makes an App that belongs to you, from settings that you see first.</li>
        <li>You choose the repositories that it may work in.</li>
        <li>
          Then a label <code className="font-mono">berth</code> on an issue, or a mention in a comment, starts a
          session.
        </li>
      </ol>
      {link === null ? (
        <Button
          tone="accent"
          onClick={() => void client.github.setupLink().then(setLink, toastFailure('No set-up link'))}
        >
          Begin
        </Button>
      ) : (
        <p>
          <Out href={link.url}>Continue to the set-up page</Out>
          <span className="text-muted"> · good until {clockTime(link.expiresAt)}</span>
        </p>
      )}
    </div>
  );
}

function RepositoryRow({ repository }: { repository: Repository }) {
  const queries = useQueryClient();
  const [label, setLabel] = useState(repository.triggers.label ?? '');
  const name = `${repository.owner ?? ''}/${repository.name ?? ''}`;
  const changed = label.trim() !== (repository.triggers.label ?? '');
  const save = async (): Promise<void> => {
    await client.github.changeRepository(repository.id, {
      triggers: { label: label.trim() === '' ? null : label.trim() },
    });
    await queries.invalidateQueries({ queryKey: repositoriesQuery.queryKey });
  };
  return (
    <tr>
      <td className="font-medium">{sanitizeLine(name)}</td>
      <td>
        <input
          aria-label={`Label for ${sanitizeLine(name)}`}
          value={label}
          placeholder="none"
          onChange={(event) => setLabel(event.target.value)}
          className="h-8 w-32 rounded-lg border border-line-strong bg-surface px-2"
        />
      </td>
      <td>
        {repository.triggers.mention === null ? (
          <span className="text-muted">none</span>
        ) : (
          sanitizeLine(repository.triggers.mention)
        )}
      </td>
      <td>{repository.agent ?? <span className="text-muted">default</span>}</td>
      <td className="text-right">
        <Button size="small" disabled={!changed} onClick={() => void save().catch(toastFailure('Not saved'))}>
          Save
        </Button>
      </td>
    </tr>
  );
}

function Tasks({ tasks, repositories }: { tasks: readonly Task[]; repositories: readonly Repository[] }) {
  const nameOf = (id: string): string => {
    const found = repositories.find((each) => each.id === id);
    return found === undefined ? '' : sanitizeLine(`${found.owner ?? ''}/${found.name ?? ''}`);
  };
  return (
    <section>
      <h2 className="mb-2 font-semibold">Tasks</h2>
      <Table label="Tasks" head={['Issue', 'State', 'Session', 'Pull request', 'Changed']}>
        {tasks.map((task) => (
          <tr key={task.id}>
            <td>
              {nameOf(task.repositoryId)} #{task.issueNumber}
            </td>
            <td>
              {task.state}
              {task.error !== null && (
                <span className="block text-xs text-bad">{sanitizeLine(task.error.message)}</span>
              )}
            </td>
            <td>{task.sessionId !== null && <SessionLink sessionId={task.sessionId} />}</td>
            <td>{task.pullNumber === null ? '' : `#${task.pullNumber}`}</td>
            <td className="whitespace-nowrap">{clockTime(task.updatedAt)}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

function Out({ href, children }: { href: string; children: ReactNode }) {
  if (!/^https?:/.test(href)) return <span>{children}</span>;
  return (
    <a
      href={href}
      target="_blank"
      rel="noopener noreferrer"
      className="inline-flex items-center gap-1 text-accent underline underline-offset-2"
    >
      {children}
      <ExternalLink aria-hidden className="size-3.5" />
    </a>
  );
}
