import { serverActor } from '../audit/actor.ts';
import { BerthError } from '../../protocol/errors.ts';
import type { RepositoryRecord, SessionRecord, TaskRecord } from '../ports/store.ts';
import { findOrOpenPull, tellPull } from '../pulls/find-or-open-pull.ts';
import { branchOf, publishWork } from '../pulls/publish-work.ts';
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
  const pushed = await core.sessions.withRunner(sessionId, signal, async (runner, session) => {
    const at = branchOf(session);
    if (at === null) throw new BerthError('internal', `session ${session.id} of a task has no branch of its own`);
    const commit = {
      message: commitMessage(session, task),
      author: session.author ?? (await forge.botIdentity(repository, signal)),
      coAuthors: task.trigger.kind === 'request' ? [] : [task.trigger.author],
    };
    const work = { session, runner, commit, turnId: task.turnId, actor: serverActor, published: task.pushedCommit };
    const done = await publishWork(deps, at, work, signal);
    return done === null ? null : { ...at, sha: done.sha };
  });
  if (pushed === null) return false;

  const issue = await forge.readIssue(repository, task.issueNumber, signal);
  const { pull } = await findOrOpenPull(
    forge,
    repository,
    {
      branch: pushed.branch,
      baseBranch: pushed.baseBranch,
      title: issue.title,
      body: `Fixes #${task.issueNumber}\n\nMade by ${deps.agents.get(repository.settings.agent ?? 'claude').title} in session ${sessionId}, asked by ${askedBy(task)}.`,
    },
    signal,
  );
  const at = deps.clock.now().toISOString();
  await deps.store.transaction(async (tx) => {
    await tx.updateTask(task.id, { pullNumber: pull.number, updatedAt: at });
    if (task.pullNumber === pull.number) return;
    const told = { sessionId, turnId: task.turnId, at, actor: serverActor, repositoryUrl: repository.url };
    await tellPull(tx, { ...told, branch: pushed.branch, pull });
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

function commitMessage(session: SessionRecord, task: TaskRecord): string {
  const subject = session.title.replace(/^#\d+\s+/, '').slice(0, 72);
  const isFirst = task.trigger.kind === 'issue' || task.pullNumber === null;
  return `${isFirst ? subject : `Address review: ${subject}`.slice(0, 72)}\n\nRefs #${task.issueNumber}`;
}
