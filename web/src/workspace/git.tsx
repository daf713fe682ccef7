import { useQuery } from '@tanstack/react-query';
import { ExternalLink, GitBranch, GitCommitHorizontal, GitPullRequest, Upload } from 'lucide-react';
import { useEffect, type ReactNode } from 'react';
import { sanitizeLine } from '../../../src/protocol/inert-text.ts';
import type { BranchState, Session } from '../../../src/sdk/index.ts';
import { CopyButton } from '../conversation/code-block.tsx';
import type { Facts } from '../conversation/model.ts';
import { branchQuery, tasksQuery } from '../queries.ts';
import { repositoryName } from '../sessions/title.ts';
import { useMay } from '../sessions/use-may.ts';
import { Button } from '../ui/button.tsx';
import { Empty, Failure, Loading } from '../ui/states.tsx';
import { clockTime } from '../ui/time.ts';
import { OpenPull } from './open-pull.tsx';

/** The branch, what was committed and pushed, and the pull request that comes of it. */
export function Git({
  session,
  facts,
  live,
  onWake,
}: {
  session: Session;
  facts: Facts;
  /** The sandbox may be looked into. */
  live: boolean;
  onWake: () => void;
}) {
  const tasks = useQuery({ ...tasksQuery, enabled: session.repository !== null });
  const branch = useQuery(branchQuery(session.id, live && session.repository !== null));
  const mayPush = useMay(session.id)('session:prompt');
  const { refetch } = branch;
  // Commits come with the end of a tool call or turn.
  useEffect(() => {
    if (live && facts.workspaceVersion > 0) void refetch();
  }, [live, facts.workspaceVersion, facts.pushed, refetch]);
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
        {branch.data !== undefined && (
          <>
            <dt>Holds</dt>
            <dd>{stateOf(branch.data)}</dd>
          </>
        )}
      </dl>
      <Pull pull={branch.data?.pull ?? facts.pullRequest} />
      {facts.pushed !== null && (
        <Line icon={<Upload className="text-muted" />}>
          Pushed <span className="font-mono text-[0.85rem]">{facts.pushed.sha.slice(0, 8)}</span> to{' '}
          {facts.pushed.branch}
        </Line>
      )}
      {!live ? (
        <div className="rounded-lg border border-line px-3 py-2.5">
          <p className="mb-2 text-sm text-muted">The sandbox rests. A pull request needs what is in it.</p>
          <Button size="small" onClick={onWake}>
            Look inside
          </Button>
        </div>
      ) : branch.isError && branch.data === undefined ? (
        <Failure error={branch.error} onRetry={() => void branch.refetch()} />
      ) : branch.data === undefined ? (
        <Loading label="Reading the branch" />
      ) : !mayPush ? null : (
        <OpenPull session={session} branch={branch.data} working={facts.turn !== null} />
      )}
      <section>
        <h2 className="mb-2 text-sm font-semibold">Commits</h2>
        {branch.data === undefined ? <Told facts={facts} /> : <Commits commits={branch.data.commits} />}
      </section>
    </div>
  );
}

/** `3 commits, 1 not pushed; 5 files differ from main`. */
function stateOf({ commits, changedFiles, baseBranch }: BranchState): string {
  const unpushed = commits.filter((commit) => !commit.pushed).length;
  const said = commits.length === 0 ? 'no commit yet' : `${commits.length} ${commits.length === 1 ? 'commit' : 'commits'}`;
  const pushed = commits.length === 0 ? '' : unpushed === 0 ? ', all pushed' : `, ${unpushed} not pushed`;
  return `${said}${pushed}; ${changedFiles} ${changedFiles === 1 ? 'file differs' : 'files differ'} from ${sanitizeLine(baseBranch ?? 'the base')}`;
}

function Pull({ pull }: { pull: { number: number; url: string } | null }) {
  if (pull === null) return null;
  return (
    <Line icon={<GitPullRequest className="text-good" />}>
      Pull request #{pull.number}
      {/^https?:/.test(pull.url) && (
        <a
          href={pull.url}
          target="_blank"
          rel="noopener noreferrer"
          className="ml-2 inline-flex items-center gap-1 text-accent underline"
        >
          open <ExternalLink aria-hidden className="size-3.5" />
        </a>
      )}
    </Line>
  );
}

function Commits({ commits }: { commits: BranchState['commits'] }) {
  if (commits.length === 0) return <p className="text-sm text-muted">There are none on this branch yet.</p>;
  return (
    <ul className="space-y-2">
      {commits.toReversed().map((commit) => (
        <li key={commit.sha}>
          <Line icon={<GitCommitHorizontal className="text-muted" />}>
            <span className="block break-words">{sanitizeLine(commit.subject)}</span>
            <span className="block text-xs text-muted">
              <span className="font-mono">{commit.sha.slice(0, 8)}</span> · {commit.pushed ? 'pushed' : 'not pushed'}
            </span>
          </Line>
        </li>
      ))}
    </ul>
  );
}

/** What the conversation tells, while nobody looks inside. */
function Told({ facts }: { facts: Facts }) {
  if (facts.commits.length === 0) return <p className="text-sm text-muted">Berth has made none for this session.</p>;
  return (
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
