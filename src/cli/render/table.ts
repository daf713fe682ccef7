import type { Style } from './style.ts';
import { columns, padEnd, truncate } from './width.ts';

export interface Column<Row> {
  title: string;
  /** Plain text, already safe to print. */
  value(row: Row): string;
  /** Applied after padding, so that it never counts as width. */
  paint?(text: string, row: Row): string;
  /** The one that gives way when the table is wider than the terminal. */
  shrink?: boolean;
}

/** Columns two spaces apart, at most `width` wide, no trailing space; ends with a line feed. */
export function renderTable<Row>(
  rows: readonly Row[],
  tableColumns: readonly Column<Row>[],
  width: number,
  style: Style,
): string {
  const cells = rows.map((row) => tableColumns.map((column) => column.value(row)));
  const widths = tableColumns.map((column, at) =>
    Math.max(columns(column.title), ...cells.map((line) => columns(line[at] ?? ''))),
  );
  const total = widths.reduce((sum, each) => sum + each + 2, -2);
  const shrinking = tableColumns.findIndex((column) => column.shrink);
  if (total > width && shrinking >= 0) {
    const least = Math.max(8, columns(tableColumns[shrinking]?.title ?? ''));
    widths[shrinking] = Math.max(least, (widths[shrinking] ?? 0) - (total - width));
  }
  const line = (values: readonly string[], paint: (text: string, at: number) => string): string =>
    values
      .map((value, at) => {
        const cut = truncate(value, widths[at] ?? 0);
        return at === values.length - 1 ? paint(cut, at) : paint(padEnd(cut, widths[at] ?? 0), at);
      })
      .join('  ')
      .trimEnd();
  const head = line(
    tableColumns.map((column) => column.title),
    (text) => style.dim(text),
  );
  const body = rows.map((row, index) =>
    line(cells[index] ?? [], (text, at) => tableColumns[at]?.paint?.(text, row) ?? text),
  );
  return `${[head, ...body].join('\n')}\n`;
}
