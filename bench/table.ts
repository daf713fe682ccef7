import { ratioOf, type Sample } from './measure.ts';

/** One line of the table: what Berth took, what the other took, and how they relate. */
export interface Row {
  what: string;
  berth: string;
  against: string;
  other: string;
  ratio: string;
  goal: string;
  met: string;
}

const headings: Row = {
  what: 'what',
  berth: 'Berth',
  against: 'compared with',
  other: 'its figure',
  ratio: 'ratio',
  goal: 'goal',
  met: 'met',
};
const columns = Object.keys(headings) as (keyof Row)[];

/** A comparison of two durations. `goal`: the most that the ratio may be; `null` where there is none. */
export function ratioRow(what: string, berth: Sample, against: string, other: Sample, goal: number | null): Row {
  const ratio = ratioOf(berth, other);
  return {
    what,
    berth: duration(berth),
    against,
    other: duration(other),
    ratio: `${ratio.toFixed(2)}x`,
    goal: goal === null ? '-' : `<= ${goal}x`,
    met: goal === null ? '-' : ratio <= goal ? 'yes' : 'no',
  };
}

/** A duration on its own. */
export function limitRow(what: string, berth: Sample, goalMs: number): Row {
  return {
    what,
    berth: duration(berth),
    against: '-',
    other: '-',
    ratio: '-',
    goal: `<= ${goalMs} ms`,
    met: berth.medianMs <= goalMs ? 'yes' : 'no',
  };
}

/** A size on its own. */
export function sizeRow(what: string, sizeBytes: number, goalBytes: number | null): Row {
  return {
    what,
    berth: megabytes(sizeBytes),
    against: '-',
    other: '-',
    ratio: '-',
    goal: goalBytes === null ? '-' : `< ${megabytes(goalBytes)}`,
    met: goalBytes === null ? '-' : sizeBytes < goalBytes ? 'yes' : 'no',
  };
}

export function skippedRow(what: string, against: string, reason: string): Row {
  return { what, berth: '-', against, other: `skipped: ${reason}`, ratio: '-', goal: '-', met: '-' };
}

export function renderTable(rows: readonly Row[]): string {
  return renderGrid([headings, ...rows].map((row) => columns.map((name) => row[name])));
}

/** As a Markdown table, aligned for reading as text. The first line has the headings. */
export function renderGrid([first = [], ...rest]: readonly (readonly string[])[]): string {
  const widths = first.map((_, column) => Math.max(...[first, ...rest].map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(first), rule, ...rest.map(line)].join('\n');
}

export function milliseconds(medianMs: number): string {
  return `${medianMs.toFixed(medianMs < 10 ? 1 : 0)} ms`;
}

function duration({ medianMs, p90Ms }: Sample): string {
  const digits = medianMs < 10 ? 1 : 0;
  return `${medianMs.toFixed(digits)} ms (p90 ${p90Ms.toFixed(digits)})`;
}

export function megabytes(sizeBytes: number): string {
  return `${(sizeBytes / 1e6).toFixed(1)} MB`;
}
