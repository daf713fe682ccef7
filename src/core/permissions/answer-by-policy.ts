import type { PermissionPolicyView } from '../../protocol/permission-policy.ts';
import { actorOf } from '../audit/actor.ts';
import type { Settings } from '../dependencies.ts';
import type { PermissionRecord, SessionRecord, StoreReads, StoreTransaction } from '../ports/store.ts';
import { answerDetail } from '../sessions/answer-detail.ts';
import { judgeRequest } from './judge-request.ts';
import { readToolRequest } from './tool-request.ts';

/** The rules that hold in a session, in the order in which they are looked at: its own, its repository's, the server's. */
export async function rulesOf(
  reads: Pick<StoreReads, 'repositoryByUrl'>,
  session: Pick<SessionRecord, 'permissionPolicy' | 'repositoryUrl'>,
  { permissionPolicy }: Pick<Settings, 'permissionPolicy'>,
): Promise<PermissionPolicyView['rules']> {
  const { repositoryUrl } = session;
  const repository = repositoryUrl === null ? null : await reads.repositoryByUrl(repositoryUrl);
  const from = (policy: typeof permissionPolicy | null | undefined, source: PermissionPolicyView['rules'][number]['from']) =>
    (policy?.rules ?? []).map((rule) => ({ ...rule, from: source }));
  return [
    ...from(session.permissionPolicy, 'session'),
    ...from(repository?.settings.permissionPolicy, 'repository'),
    ...from(permissionPolicy, 'server'),
  ];
}

/**
 * The answer that the rules give to a request, in the transaction that takes it in; `null`: a person is asked. It is kept like a
 * person's that waits for a slot, so a crash does not lose it, and the agent hears it as soon as it can.
 */
export async function answerByPolicy(
  tx: StoreTransaction,
  session: SessionRecord,
  asked: PermissionRecord,
  settings: Pick<Settings, 'permissionPolicy'>,
): Promise<Pick<PermissionRecord, 'optionId' | 'answeredBy'> | null> {
  if (session.permissions !== 'policy') return null;
  const rules = await rulesOf(tx, session, settings);
  const { answer, rule } = judgeRequest(rules, readToolRequest(asked.toolCall, session.cwd));
  if (answer === 'ask' || rule === null) return null;
  const option = asked.options.find(({ kind }) => kind === (answer === 'allow' ? 'allow_once' : 'reject_once'));
  // "Always" would keep the agent from asking what other rules are about.
  if (answer === 'allow' && option === undefined) return null;
  const by = `policy:${rule}`;
  const { sessionId, requestId } = asked;
  await tx.appendAudit([
    {
      at: asked.requestedAt,
      actor: actorOf(by),
      action: 'permission.answered',
      target: requestId,
      sessionId,
      detail: answerDetail(asked, option ?? null),
    },
  ]);
  // A refusal without an option of that kind takes the question back.
  return { optionId: option?.optionId ?? null, answeredBy: by };
}

/** Whether a request waits for a person: one that rules have answered does not. */
export function waitsForPerson({ answeredBy }: Pick<PermissionRecord, 'answeredBy'>): boolean {
  return answeredBy?.startsWith('policy:') !== true;
}
