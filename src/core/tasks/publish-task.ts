import { serverActor } from '../audit/actor.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { RunnerClient } from '../ports/runner.ts';
import type { RepositoryRecord, SessionRecord, TaskRecord } from '../ports/store.ts';
import type { TaskContext } from './advance-task.ts';
import { say } from './say.ts';
import { commentMarker, pullRequestComment } from './task-comment.ts';

/**
 * Commits what the agent left beside its own commits, pushes the session's branch, finds or opens its
 * pull request, says so, and leaves the task `waiting`. False, with nothing changed, when there is
 * nothing new to show. Repeating it after a crash at any point gives the same end: the commit is
 * there, the push says "up to date", the pull request is found; `pushedCommit`, by which the next
 * call knows that it is all done, is stored last and together with the state.
 */
export async function publishTask(
  context: TaskContext,
  repository: RepositoryRecord,
  task: TaskRecord,
  signal: AbortSignal,
): Promise<boolean> {
  const { deps, forge, core } = context;
  const sessionId = task.sessionId!;
  const pushed = await core.sessions.withRunner(sessionId, signal, (runner, session) =>
    commitAndPush(context, repository, task, session, runner, signal),
  );
  if (pushed === null) return false;

  const found = await forge.findPull(repository, pushed.branch, signal);
  const issue = await forge.readIssue(repository, task.issueNumber, signal);
  const pull =
    found ??
    (await forge.createPull(
      repository,
      {
        branch: pushed.branch,
        baseBranch: pushed.baseBranch,
        title: issue.title,
        body: `Fixes #${task.issueNumber}\n\nMade by ${deps.agents.get(repository.settings.agent ?? 'claude').title} in session ${sessionId}, asked by ${askedBy(task)}.`,
      },
      signal,
    ));
  const at = deps.clock.now().toISOString();
  await deps.store.transaction(async (tx) => {
    await tx.updateTask(task.id, { pullNumber: pull.number, updatedAt: at });
    if (task.pullNumber !== pull.number) {
      await tx.appendEvents(sessionId, [{ at, turnId: task.turnId, type: 'task.pull_request', data: pull }]);
    }
  });
  const opened = task.pushedCommit === null || task.pullNumber !== pull.number;
  await say(context, repository, task, pullRequestComment(task, pull, pushed.sha, opened), signal, commentMarker(task));
  const updatedAt = deps.clock.now().toISOString();
  await deps.store.transaction((tx) =>
    tx.updateTask(task.id, { pushedCommit: pushed.sha, state: 'waiting', error: null, updatedAt }),
  );
  return true;
}

/** A user of Berth is nobody on the forge, so nobody there is called. */
function askedBy({ trigger }: TaskRecord): string {
  return trigger.kind === 'request' ? trigger.login : `@${trigger.login}`;
}

async function commitAndPush(
  { deps, forge }: TaskContext,
  repository: RepositoryRecord,
  task: TaskRecord,
  session: SessionRecord,
  runner: RunnerClient,
  signal: AbortSignal,
): Promise<{ sha: string; branch: string; baseBranch: string } | null> {
  const { baseCommit, branch, baseBranch, repositoryUrl, cwd } = session;
  if (baseCommit === null || branch === null || baseBranch === null || repositoryUrl === null) {
    throw new BerthError('internal', `session ${session.id} of a task has no repository`);
  }
  const author = session.author ?? (await forge.botIdentity(repository, signal));
  const committed = await deps.git.commitAll(
    runner,
    { cwd, message: commitMessage(session, task), author, coAuthors: task.trigger.kind === 'request' ? [] : [task.trigger.author] },
    signal,
  );
  const commits = await deps.git.log(runner, { cwd, baseCommit }, signal);
  const head = commits.at(-1);
  if (head === undefined) return null;
  // Pushed before: nothing new, unless a crash came between the push and what follows it.
  if (head.sha === task.pushedCommit) return null;
  const { sha } = await deps.git.push(runner, { url: repositoryUrl, cwd, sessionId: session.id, branch, baseCommit }, signal);
  const at = deps.clock.now().toISOString();
  const known = await publishedShas(deps.store.read, session.id);
  await deps.store.transaction(async (tx) => {
    await tx.appendEvents(session.id, [
      ...commits
        .filter((commit) => !known.committed.has(commit.sha))
        .map((commit) => ({
          at,
          turnId: task.turnId,
          type: 'git.committed' as const,
          data: { sha: commit.sha, branch, subject: commit.subject, byAgent: commit.sha !== committed?.sha },
        })),
      ...(known.pushed.has(sha) ? [] : [{ at, turnId: task.turnId, type: 'git.pushed' as const, data: { sha, branch } }]),
    ]);
    if (known.pushed.has(sha)) return;
    await tx.appendAudit([
      { at, actor: serverActor, action: 'git.pushed', target: branch, sessionId: session.id, detail: { sha, repository: repositoryUrl } },
    ]);
  });
  return { sha, branch, baseBranch };
}

function commitMessage(session: SessionRecord, task: TaskRecord): string {
  const subject = session.title.replace(/^#\d+\s+/, '').slice(0, 72);
  const isFirst = task.trigger.kind === 'issue' || task.pullNumber === null;
  return `${isFirst ? subject : `Address review: ${subject}`.slice(0, 72)}\n\nRefs #${task.issueNumber}`;
}

/** What the log tells of already, so that a repetition after a crash does not tell it twice. */
async function publishedShas(
  reads: TaskContext['deps']['store']['read'],
  sessionId: string,
): Promise<{ committed: Set<string>; pushed: Set<string> }> {
  const committed = new Set<string>();
  const pushed = new Set<string>();
  let seq = 0;
  for (;;) {
    const page = await reads.events(sessionId, seq, 500);
    for (const event of page) {
      seq = event.seq;
      if (event.type === 'git.committed') committed.add(event.data.sha);
      else if (event.type === 'git.pushed') pushed.add(event.data.sha);
    }
    if (page.length === 0) return { committed, pushed };
  }
}
