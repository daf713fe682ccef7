import { useQuery } from '@tanstack/react-query';
import { ExternalLink, GitBranch, GitCommitHorizontal, GitPullRequest, Upload } from 'lucide-react';
import type { ReactNode } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { Session } from '../../../src/sdk/index.ts';
import { CopyButton } from '../conversation/code-block.tsx';
import type { Facts } from '../conversation/model.ts';
import { tasksQuery } from '../queries.ts';
import { repositoryName } from '../sessions/title.ts';
import { Empty } from '../ui/states.tsx';
import { clockTime } from '../ui/time.ts';

/** The branch, what was committed and pushed, and the pull request that came of it. */
export function Git({ session, facts }: { session: Session; facts: Facts }) {
  const tasks = useQuery({ ...tasksQuery, enabled: session.repository !== null });
  if (session.repository === null) return <Empty icon={<GitBranch />} title="This session has no repository" />;
  const task = tasks.data?.find((each) => each.sessionId === session.id);
  return (
    <div className="h-full space-y-5 overflow-y-auto p-4 text-[0.92rem]">
      <dl className="grid grid-cols-[max-content_1fr] gap-x-4 gap-y-2 [&_dt]:text-muted">
        <dt>Repository</dt>
        <dd className="min-w-0 break-words">{repositoryName(session.repository)}</dd>
        <dt>Branch</dt>
        <dd className="flex min-w-0 items-center gap-2">
          <span className="min-w-0 font-mono text-[0.85rem] break-all">{sanitizeLine(session.branch ?? '')}</span>
          {session.branch !== null && <CopyButton text={session.branch} label="Copy the branch's name" />}
        </dd>
        <dt>From</dt>
        <dd className="font-mono text-[0.85rem]">{sanitizeLine(session.baseBranch ?? '')}</dd>
        {task !== undefined && (
          <>
            <dt>Issue</dt>
            <dd>
              #{task.issueNumber}, {task.state}
            </dd>
          </>
        )}
      </dl>
      {facts.pullRequest !== null && (
        <Line icon={<GitPullRequest className="text-good" />}>
          Pull request #{facts.pullRequest.number}
          {/^https?:/.test(facts.pullRequest.url) && (
            <a
              href={facts.pullRequest.url}
              target="_blank"
              rel="noopener noreferrer"
              className="ml-2 inline-flex items-center gap-1 text-accent underline"
            >
              open <ExternalLink aria-hidden className="size-3.5" />
            </a>
          )}
        </Line>
      )}
      {facts.pushed !== null && (
        <Line icon={<Upload className="text-muted" />}>
          Pushed <span className="font-mono text-[0.85rem]">{facts.pushed.sha.slice(0, 8)}</span> to{' '}
          {facts.pushed.branch}
        </Line>
      )}
      <section>
        <h2 className="mb-2 text-sm font-semibold">Commits</h2>
        {facts.commits.length === 0 && <p className="text-sm text-muted">Berth has made none for this session.</p>}
        <ul className="space-y-2">
          {facts.commits.toReversed().map((commit) => (
            <li key={commit.sha}>
              <Line icon={<GitCommitHorizontal className="text-muted" />}>
                <span className="block break-words">{commit.subject}</span>
                <span className="block text-xs text-muted">
                  <span className="font-mono">{commit.sha.slice(0, 8)}</span> · {clockTime(commit.at)}
                  {commit.byAgent && ' · by the agent'}
                </span>
              </Line>
            </li>
          ))}
        </ul>
      </section>
    </div>
  );
}

function Line({ icon, children }: { icon: ReactNode; children: ReactNode }) {
  return (
    <div className="flex items-start gap-2.5 [&>svg]:mt-0.5 [&>svg]:size-4 [&>svg]:shrink-0">
      {icon}
      <div className="min-w-0 flex-1">{children}</div>
    </div>
  );
}
