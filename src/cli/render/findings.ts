import type { DoctorFinding } from '../../sdk/index.ts';
import { sanitizeLine } from './sanitize.ts';
import type { Style } from './style.ts';
import { padEnd, wrap } from './width.ts';

const glyphs = { ok: '✔', degraded: '!', missing: '✗' } as const;

/** What was found on a machine: subject, what was detected, and beneath it what was chosen and how to get better. */
export function renderFindings(findings: readonly DoctorFinding[], style: Style, width: number): string {
  const subjects = findings.map((finding) => sanitizeLine(finding.subject));
  const indent = Math.min(20, Math.max(4, ...subjects.map((subject) => subject.length))) + 4;
  const room = Math.max(24, width - indent);
  const lines: string[] = [];
  findings.forEach((finding, at) => {
    const paint = finding.status === 'ok' ? style.green : finding.status === 'degraded' ? style.yellow : style.red;
    const subject = subjects[at] ?? '';
    const detected = wrap(sanitizeLine(finding.detected), room);
    const head = `${paint(glyphs[finding.status])} ${style.bold(padEnd(subject, indent - 4))}`;
    // A long subject gets a line of its own.
    if (subject.length > indent - 4) lines.push(head, ...detected.map((line) => ' '.repeat(indent) + line));
    else lines.push(`${head}  ${detected[0] ?? ''}`, ...detected.slice(1).map((line) => ' '.repeat(indent) + line));
    for (const line of wrap(sanitizeLine(finding.choice), room)) lines.push(' '.repeat(indent) + style.dim(line));
    if (finding.advice !== null) {
      const [first, ...rest] = wrap(sanitizeLine(finding.advice), room - 2);
      lines.push(' '.repeat(indent) + paint(`→ ${first ?? ''}`));
      for (const line of rest) lines.push(`${' '.repeat(indent + 2)}${paint(line)}`);
    }
  });
  const count = (status: DoctorFinding['status']): number =>
    findings.filter((finding) => finding.status === status).length;
  lines.push('', `${count('ok')} ok, ${count('degraded')} degraded, ${count('missing')} missing`);
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}
