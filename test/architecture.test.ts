import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

/**
 * The dependency table of docs/architecture.md. A folder may import itself and what stands beside it;
 * a new edge is a design decision to argue for in docs/decisions/.
 */
const allowed: Record<string, readonly string[]> = {
  protocol: [],
  core: ['protocol'],
  store: ['core', 'protocol'],
  queue: ['core', 'protocol', 'store'],
  sandbox: ['core', 'protocol'],
  gateway: ['core', 'protocol'],
  agents: ['core', 'protocol'],
  git: ['core', 'protocol'],
  github: ['core', 'protocol'],
  identity: ['core', 'protocol'],
  webhooks: ['core', 'protocol'],
  runner: ['protocol'],
  sdk: ['protocol'],
  server: ['core', 'protocol'],
  cli: ['sdk', 'protocol'],
  // Wires the drivers: the one place that may see everything.
  main: ['core', 'protocol', 'store', 'queue', 'sandbox', 'gateway', 'agents', 'git', 'github', 'identity', 'webhooks', 'server'],
};

/** `cli` starts the server and asks the host through `main.ts`; nothing else may see it. */
const mainImporters = ['cli'];
const sharedFiles = ['version.ts'];

/** What `web/` may see of `src/`: it is a client like any other. */
const webMaySee = ['sdk', 'protocol'];

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'src');

function filesBelow(dir: string): string[] {
  return readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

function importsOf(path: string): string[] {
  const text = readFileSync(path, 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)].map((match) => resolve(dirname(path), match[1]!));
}

const files = filesBelow(source).filter((path) => path.endsWith('.ts'));
const isTest = (path: string) => /\.(test|fixture)\.ts$/.test(path) || path.includes('/testing/');

describe('architecture', () => {
  test('every folder of src is in the table', () => {
    const folders = readdirSync(source).filter((name) => statSync(join(source, name)).isDirectory());
    expect(folders.filter((name) => !(name in allowed))).toEqual([]);
  });

  test('imports follow the table', () => {
    const wrong: string[] = [];
    for (const path of files.filter((file) => !isTest(file))) {
      const from = relative(source, path).split('/')[0]!;
      if (from === 'main.ts' || sharedFiles.includes(from)) continue;
      for (const target of importsOf(path)) {
        const to = relative(source, target).split('/')[0]!;
        if (to === from || allowed[from]?.includes(to)) continue;
        if (sharedFiles.includes(to)) continue;
        if (to === 'main.ts' && mainImporters.includes(from)) continue;
        wrong.push(`${relative(root, path)} -> ${relative(root, target)}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('the web application sees the client library and the protocol alone', () => {
    const web = join(root, 'web');
    const wrong = filesBelow(join(web, 'src'))
      .filter((path) => /\.tsx?$/.test(path))
      .flatMap((path) =>
        importsOf(path)
          .filter((target) => !target.startsWith(`${web}/`) && !webMaySee.includes(relative(source, target).split('/')[0]!))
          .map((target) => `${relative(root, path)} -> ${relative(root, target)}`),
      );
    expect(wrong).toEqual([]);
  });

  test('drivers do not import drivers', () => {
    const wrong: string[] = [];
    for (const path of files) {
      const driver = /^sandbox\/providers\/([^/]+)/.exec(relative(source, path))?.[1];
      if (driver === undefined) continue;
      for (const target of importsOf(path)) {
        const other = /^sandbox\/providers\/([^/]+)/.exec(relative(source, target))?.[1];
        if (other !== undefined && other !== driver && other !== '_shared') wrong.push(relative(root, path));
      }
    }
    expect(wrong).toEqual([]);
  });

  test('environment variables are read in main, in the runner and in the CLI alone', () => {
    const readers = files.filter((path) => !isTest(path) && /process\.env\b/.test(readFileSync(path, 'utf8')));
    const outside = readers.map((path) => relative(source, path)).filter((path) => !/^(main\.ts|main\/|runner\/|cli\/)/.test(path));
    expect(outside).toEqual([]);
  });
});
