import type { PermissionRecord } from '../ports/store.ts';

/** What the audit log says of an answer; `null`: refused without choosing one of the agent's options. */
export function answerDetail(
  { toolCall, turnId }: Pick<PermissionRecord, 'toolCall' | 'turnId'>,
  option: PermissionRecord['options'][number] | null,
): Record<string, unknown> {
  const { title = null, kind = null } = toolCall;
  return { turn: turnId, tool: title, toolKind: kind, option: option?.name ?? null, optionKind: option?.kind ?? null };
}
