import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as esbuild, type BuildOptions, type Metafile, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
export const runnerBuildDir = join(root, 'build/runner');

/** Programs of the runner's layer: the runner, and the `shell` agent that it can start. */
const entries = { main: 'src/runner/main.ts', 'shell-agent': 'src/runner/shell-agent/main.ts' };

/** What decides, beside the sources, what is made of them. */
const recipe = ['scripts/build-runner.ts', 'package-lock.json'];

/**
 * Bundles the runner into `outDir`, which it replaces at one stroke: `main.mjs`, `shell-agent.mjs`, their
 * chunks, `pty.node`, and `version`, the hash of all of them. No network; under a second. `inputs` are the files, relative to
 * the root, that it was made of.
 */
export async function buildRunner(outDir: string = runnerBuildDir): Promise<{ version: string; inputs: string[] }> {
  const staging = join(dirname(outDir), `.${basename(outDir)}-${process.pid}`);
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true });
  try {
    const sources = await bundle(staging);
    await copyFile(ptyBinary(), join(staging, 'pty.node'));
    await chmod(join(staging, 'pty.node'), 0o755);
    const version = await hashDirectory(staging);
    await writeFile(join(staging, 'version'), `${version}\n`);
    await rm(outDir, { recursive: true, force: true });
    await rename(staging, outDir);
    return { version, inputs: [...sources, ...recipe, relative(root, ptyBinary())] };
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** Resolves to the files that it bundles. */
async function bundle(outDir: string): Promise<string[]> {
  const present = Object.entries(entries).filter(([, file]) => existsSync(join(root, file)));
  const options = {
    absWorkingDir: root,
    entryPoints: Object.fromEntries(present),
    outdir: outDir,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunk-[hash]',
    bundle: true,
    // Each lazy import becomes a file of its own, read when it is first needed.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
    plugins: [englishOnly, httpWithoutGetters],
  } as const satisfies BuildOptions;
  const { metafile } = await esbuild({ ...options, write: false, metafile: true });
  const { metafile: final } = await esbuild({ ...options, metafile: true, plugins: [...options.plugins, startInOneChunk(metafile)] });
  // The others are made here: `builtin:http`, `berth:start`.
  return Object.keys(final.inputs).filter((file) => !file.includes(':'));
}

/**
 * esbuild gives modules a chunk of their own for each set of files that share them, and Node reads a dozen small ones 3 ms
 * slower than one: so every lazy module imports all that the runner starts with, which puts that into one chunk.
 */
function startInOneChunk({ outputs }: Metafile): Plugin {
  const atStart = new Set<string>();
  const collect = (name: string): void => {
    const output = outputs[name]!;
    for (const file of Object.keys(output.inputs)) if (file !== entries.main) atStart.add(file);
    for (const { path, kind } of output.imports) if (kind === 'import-statement' && path in outputs) collect(path);
  };
  const [main] = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === entries.main)!;
  collect(main);
  const lazy = Object.values(outputs).flatMap(({ entryPoint }) => entryPoint ?? []);
  const own: readonly string[] = Object.values(entries);
  const prefixed = new Set(
    lazy.filter((file) => !own.includes(file) && !atStart.has(file)).map((file) => join(root, file)),
  );
  const files = [...atStart].filter((file) => !file.includes(':'));
  return {
    name: 'start-in-one-chunk',
    setup(build) {
      build.onResolve({ filter: /^berth:start$/ }, () => ({ path: 'start', namespace: 'berth', sideEffects: true }));
      build.onLoad({ filter: /.*/, namespace: 'berth' }, () => ({
        contents: files.map((file) => `import ${JSON.stringify(`./${file}`)};`).join('\n'),
        resolveDir: root,
      }));
      build.onLoad({ filter: /\.ts$/, namespace: 'file' }, async ({ path }) =>
        prefixed.has(path)
          ? { contents: `import 'berth:start';\n${await readFile(path, 'utf8')}`, loader: 'ts' }
          : null,
      );
    },
  };
}

/** zod exports its messages in fifty languages as one object: 400 kB to parse whenever a schema is first used. */
const englishOnly: Plugin = {
  name: 'english-only',
  setup(build) {
    build.onLoad({ filter: /[/\\]zod[/\\]v4[/\\]locales[/\\]index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
    }));
  },
};

/**
 * An ES module that imports `node:http` makes Node read every export of it, and the getter of its `WebSocket` loads undici:
 * 25 ms and 4 MB in each sandbox, for nothing. Fetched as an object, only what is used is read.
 */
const httpWithoutGetters: Plugin = {
  name: 'http-without-getters',
  setup(build) {
    build.onResolve({ filter: /^node:http$/ }, () => ({ path: 'http', namespace: 'builtin' }));
    build.onLoad({ filter: /.*/, namespace: 'builtin' }, () => ({
      contents: "module.exports = process.getBuiltinModule('node:http');",
    }));
  },
};

function ptyBinary(): string {
  const require = createRequire(createRequire(import.meta.url).resolve('@lydell/node-pty'));
  return require.resolve(`@lydell/node-pty-${process.platform}-${process.arch}/pty.node`);
}

async function hashDirectory(directory: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(directory)).toSorted()) {
    hash.update(`${name}\0`).update(await readFile(join(directory, name)));
  }
  return hash.digest('hex').slice(0, 16);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { version } = await buildRunner();
  process.stdout.write(`build/runner ${version}\n`);
}
