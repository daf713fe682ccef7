import { cpSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCommand } from '../../src/sandbox/run-command.ts';

/**
 * Follows docs/providers/writing-a-driver.md to the letter, in a copy of the tree: its blocks are the driver. What the page says of how
 * little a driver touches, and that it runs, is true as long as this passes.
 */
const root = resolve(import.meta.dirname, '../..');
const page = 'docs/providers/writing-a-driver.md';
const copied = ['bin', 'docs', 'package-lock.json', 'package.json', 'scripts', 'src', 'test', 'tsconfig.json', 'vitest.config.ts'];
const changed = [
  'docs/providers/unshare.md',
  'src/main/provider-settings.ts',
  'src/sandbox/providers/unshare/unshare.test.ts',
  'src/sandbox/providers/unshare/unshare.ts',
  'src/sandbox/registry.ts',
];

let copy: string;

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'berth-driver-'));
  // With their times, by which the runner that was built of them is known.
  for (const name of copied) cpSync(join(root, name), join(copy, name), { recursive: true, preserveTimestamps: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  follow(readFileSync(join(copy, page), 'utf8'));
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

interface Block {
  language: string;
  path: string;
  text: string;
}

/** The blocks that name a file. Those of one file are its parts, in order. */
function blocksOf(text: string): Block[] {
  const found: Block[] = [];
  for (const [, , language, path, body] of text.matchAll(/^(`{3,})(\w+) (\S+)\n(.*?)\n\1$/gms)) {
    const before = found.find((block) => block.path === path);
    if (before === undefined) found.push({ language: language!, path: path!, text: `${body!}\n` });
    else before.text += `\n${body!}\n`;
  }
  return found;
}

function follow(text: string): void {
  for (const { language, path, text: block } of blocksOf(text)) {
    const file = join(copy, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, language === 'diff' ? withLinesAdded(readFileSync(file, 'utf8'), block) : block);
  }
}

/** The first line of the block is in the file, once; the others are added after it. */
function withLinesAdded(text: string, diff: string): string {
  const [first, ...added] = diff.trimEnd().split('\n');
  const anchor = `${first!.slice(1)}\n`;
  expect(text.split(anchor), `"${anchor}" is there once`).toHaveLength(2);
  for (const line of added) expect(line).toMatch(/^\+/);
  return text.replace(anchor, () => `${anchor}${added.map((line) => `${line.slice(1)}\n`).join('')}`);
}

/** The files, by path, that are not in both trees with the same bytes. */
function differences(): string[] {
  const [before, after] = [filesBelow(root), filesBelow(copy)];
  const isSame = (path: string) => before.has(path) && after.has(path) && readFileSync(join(root, path)).equals(readFileSync(join(copy, path)));
  return [...new Set([...before, ...after])].filter((path) => !isSame(path)).toSorted();
}

function filesBelow(tree: string): Set<string> {
  const paths = copied.flatMap((name) =>
    statSync(join(tree, name)).isDirectory() ? readdirSync(join(tree, name), { recursive: true }).map((entry) => join(name, String(entry))) : [name],
  );
  return new Set(paths.filter((path) => lstatSync(join(tree, path)).isFile()));
}

/** A program of the copy, with this Node. */
const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  runCommand(process.execPath, args, {
    cwd: copy,
    env: { PATH: process.env['PATH'] ?? '', HOME: copy, TMPDIR: tmpdir(), ...env },
    signal: AbortSignal.timeout(240_000),
  });

test('the page changes five files, and no other', () => {
  expect(differences()).toEqual(changed);
});

test('what is on it has the right types', async () => {
  const files = changed.filter((path) => path.endsWith('.ts'));
  writeFileSync(join(copy, 'tsconfig.page.json'), JSON.stringify({ extends: './tsconfig.json', compilerOptions: { incremental: false, tsBuildInfoFile: null }, include: [], files }));
  const checked = await run(['node_modules/typescript/bin/tsc', '--noEmit', '--project', 'tsconfig.page.json']);
  expect(checked.stdout).toBe('');
  expect(checked.exitCode).toBe(0);
});

test('its settings are read at the start, and a mistake is named', async () => {
  const script = "import { readConfig } from './src/main/config.ts'; console.log(JSON.stringify(readConfig(process.env).providerOptions.unshare))";
  const read = (graceMs: string) =>
    run(['--input-type=module', '--disable-warning=ExperimentalWarning', '--eval', script], { BERTH_PROVIDERS: 'unshare', BERTH_UNSHARE_STOP_GRACE_MS: graceMs });
  expect(JSON.parse((await read('20')).stdout)).toEqual({ stopGraceMs: 20 });
  expect(await read('soon')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('BERTH_UNSHARE_STOP_GRACE_MS') });
});

test('the driver on it passes the conformance suites', async () => {
  const report = join(copy, 'report.json');
  const suites = await run([
    ...['--disable-warning=ExperimentalWarning', 'node_modules/vitest/vitest.mjs', 'run', '--project', 'e2e', '--no-cache'],
    ...['--reporter=default', '--reporter=json', `--outputFile.json=${report}`, 'src/sandbox/providers/unshare/unshare.test.ts'],
  ]);
  expect(suites.exitCode, suites.stdout + suites.stderr).toBe(0);
  const { numPassedTests, numTotalTests } = JSON.parse(readFileSync(report, 'utf8')) as Record<string, number>;
  // Both suites and what the driver promises besides; none left out.
  expect(numPassedTests).toBeGreaterThan(35);
  expect(numPassedTests).toBe(numTotalTests);
});
