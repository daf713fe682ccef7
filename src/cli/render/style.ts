/** Colours and glyphs as functions, so that rendering is pure and the same without colours. */
export interface Style {
  bold: (text: string) => string;
  dim: (text: string) => string;
  red: (text: string) => string;
  green: (text: string) => string;
  yellow: (text: string) => string;
  cyan: (text: string) => string;
}

const off: Style = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };

const on: Style = {
  bold: sgr(1, 22),
  dim: sgr(2, 22),
  red: sgr(31, 39),
  green: sgr(32, 39),
  yellow: sgr(33, 39),
  cyan: sgr(36, 39),
};

export function createStyle(enabled: boolean): Style {
  return enabled ? on : off;
}

/** Colours only where a person sees them: a terminal, and neither `NO_COLOR` (no-color.org) nor a dumb one. */
export function wantsColor(stream: { isTTY?: boolean }, env: Record<string, string | undefined>): boolean {
  return stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}

function same(text: string): string {
  return text;
}

/** Each line is wrapped on its own, so that a pager or a cut never leaves a colour on. */
function sgr(open: number, close: number): (text: string) => string {
  return (text) =>
    text
      .split('\n')
      .map((line) => (line === '' ? '' : `\u001b[${open}m${line}\u001b[${close}m`))
      .join('\n');
}
