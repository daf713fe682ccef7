import type { RepositorySettings, TaskRecord } from '../core/ports/store.ts';
import type { Candidate } from './candidate.ts';

/**
 * Whether a candidate asks for work by the repository's settings. `null`: it does; else the reason why
 * not. Says nothing of whether its sender may ask; that is the gate's.
 */
export function refusalByRules(
  candidate: Candidate,
  triggers: RepositorySettings['triggers'],
  app: { appId: number; botLogin: string },
  task: TaskRecord | null,
): string | null {
  if (candidate.sender.isBot) return `${candidate.sender.login} is no person`;
  if (candidate.viaAppId === app.appId) return 'written by this App';
  if (task !== null && candidate.continues) return null;
  if (isStart(candidate, triggers, app.botLogin)) return null;
  if (candidate.continues && candidate.mentionText === null) return 'no task belongs to this pull request';
  return 'no trigger: neither the label, nor a mention, nor an assignment to the App';
}

function isStart(candidate: Candidate, triggers: RepositorySettings['triggers'], botLogin: string): boolean {
  const { label, mention } = triggers;
  if (label !== null && candidate.labels.some((name) => isSame(name, label))) return true;
  if (triggers.assignee && candidate.assignees.some((login) => isSame(login, botLogin))) return true;
  return mention !== null && candidate.mentionText !== null && isMentioned(candidate.mentionText, mention);
}

function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** Whether the text speaks to `mention` itself: not in a quotation, not in code, not as part of a longer name. */
export function isMentioned(text: string, mention: string): boolean {
  const spoken = withoutQuotations(text).toLowerCase();
  const wanted = mention.toLowerCase();
  if (wanted === '') return false;
  for (let at = spoken.indexOf(wanted); at !== -1; at = spoken.indexOf(wanted, at + 1)) {
    const before = spoken[at - 1] ?? ' ';
    const after = spoken.slice(at + wanted.length);
    // `@berth/team` is a team, `@berth-2` another account, `a@berth.dev` an address.
    if (!/[\w@/.-]/.test(before) && !/^(?:[\w/-]|\.\w)/.test(after)) return true;
  }
  return false;
}

function withoutQuotations(text: string): string {
  let fence: string | null = null;
  const kept: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence !== null) {
      if (mark !== undefined && mark[0] === fence[0] && mark.length >= fence.length) fence = null;
      continue;
    }
    if (mark !== undefined) fence = mark;
    else if (!/^ {0,3}>/.test(line)) kept.push(line);
  }
  return withoutComments(withoutCodeSpans(kept.join('\n')));
}

/** A code span ends at the next run of as many backticks; a run without such an end is text. Linear, for the text is anybody's. */
function withoutCodeSpans(text: string): string {
  const runs = [...text.matchAll(/`+/g)].map((match) => ({ start: match.index, end: match.index + match[0].length }));
  const nextOfLength = new Map<number, number>();
  const ends = new Map<number, number>();
  for (let index = runs.length - 1; index >= 0; index -= 1) {
    const { start, end } = runs[index]!;
    const closing = nextOfLength.get(end - start);
    if (closing !== undefined) ends.set(index, closing);
    nextOfLength.set(end - start, index);
  }
  let kept = '';
  let from = 0;
  for (let index = 0; index < runs.length; index += 1) {
    const closing = ends.get(index);
    if (closing === undefined) continue;
    kept += `${text.slice(from, runs[index]!.start)} `;
    from = runs[closing]!.end;
    index = closing;
  }
  return kept + text.slice(from);
}

/** One that is not closed hides all that follows, as on the page. */
function withoutComments(text: string): string {
  let kept = '';
  for (let from = 0; ; ) {
    const open = text.indexOf('<!--', from);
    if (open === -1) return kept + text.slice(from);
    kept += `${text.slice(from, open)} `;
    const close = text.indexOf('-->', open + 4);
    if (close === -1) return kept;
    from = close + 3;
  }
}
