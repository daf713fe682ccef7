import { describe, expect, test } from 'vitest';
import { highlight } from '../conversation/highlight.ts';
import { colour, filesOf, isColourable, pathOf } from './diff-files.ts';

function patchOf(lines: readonly string[], at = 1): string {
  const count = lines.length;
  return `diff --git a/x.ts b/x.ts\nindex 1111111..2222222 100644\n--- a/x.ts\n+++ b/x.ts\n@@ -${at},${count} +${at},${count} @@\n${lines.map((line) => `-${line}\n+${line}!`).join('\n')}\n`;
}

describe('a patch', () => {
  test('is shown without what a terminal obeys or what reads backwards, and keeps its indentation', () => {
    const [file] = filesOf(patchOf(['  rm \u202e/tmp\u202c \u001b[31mred\u001b]0;title\u0007 \u001b]52;c;ZXZpbA==\u0007', 'a\rb\r']));
    const shown = file!.hunks.flatMap((hunk) => hunk.changes.map((change) => change.content));
    expect(shown[0]).toBe('  rm \\u{202e}/tmp\\u{202c} red ');
    expect(shown[2]).toBe('a␍b');
    expect(shown.join('')).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u202a-\u202e]/u);
  });

  test.each([
    ['a b.ts\t', 'a b.ts'],
    ['"b/bidi\\342\\200\\256ü.ts"', 'bidi\u202eü.ts'],
    ['"b/q\\"uo\\\\te\\t.ts"', 'q"uo\\te\t.ts'],
  ])('names its files as git means them: %s', (written, name) => {
    const quoted = written.startsWith('"') ? written : `b/${written}`;
    const [file] = filesOf(`diff --git a/x ${quoted}\nnew file mode 100644\nindex 0000000..16bc819\n--- /dev/null\n+++ ${quoted}\n@@ -0,0 +1 @@\n+x\n`);
    expect(pathOf(file!)).toBe(name);
    const [gone] = filesOf(`diff --git ${quoted} b/x\ndeleted file mode 100644\nindex 16bc819..0000000\n--- ${quoted}\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n`);
    expect(pathOf(gone!)).toBe(name);
    const [moved] = filesOf(`diff --git a/x ${quoted}\nsimilarity index 100%\nrename from x\nrename to ${written.replace('"b/', '"').replace(/\t$/, '')}\n`);
    expect(pathOf(moved!)).toBe(name);
  });

  test('that is none shows no lines', () => {
    expect(filesOf('diff --git a/x b/x\n@@ nonsense')).toSatisfy((files: unknown[]) => files.length <= 1);
  });
});

describe('colours of a patch', () => {
  test('are classes on the same text, line by line, on both sides', () => {
    const [file] = filesOf(patchOf(['const html = "<script>";']));
    const tokens = colour(file!, 'typescript', highlight)!;
    const text = (node: { value?: string; children?: never[] }): string => node.value ?? (node.children ?? []).map(text).join('');
    expect(tokens.old[0]!.map((node) => text(node as never)).join('')).toBe('const html = "<script>";');
    expect(tokens.new[0]!.map((node) => text(node as never)).join('')).toBe('const html = "<script>";!');
    expect(tokens.old[0]!.map((node) => node['className'] as unknown)).toContain('hljs-keyword');
  });

  test('are left out of what is long, or far down: the viewer would make a line for each line before', () => {
    const [small] = filesOf(patchOf(['x']));
    const [far] = filesOf(patchOf(['x'], 500_000_000));
    const [long] = filesOf(patchOf(['x'.repeat(70_000)]));
    expect([small, far, long].map((file) => isColourable(file!))).toEqual([true, false, false]);
  });
});
