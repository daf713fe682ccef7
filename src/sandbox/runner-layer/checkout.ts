import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { z } from 'zod';
import { mustRun } from '../run-command.ts';
import { keptBuild } from './kept-build.ts';

export const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));

const script = join(packageRoot, 'scripts/build-runner.ts');

/** Whether this is Berth's source tree, and not a published package, which has no script to build with. */
export const isCheckout = existsSync(script);

/** What is made of this checkout's own files and kept from one start to the next. */
export const checkoutCacheDir = join(packageRoot, 'node_modules/.cache/berth');

/** The directory of a runner that is never older than its source. */
export function currentRunnerBuild(): Promise<string> {
  return keptBuild({ root: packageRoot, cacheDir: checkoutCacheDir, build: buildRunner });
}

async function buildRunner(outDir: string): Promise<readonly string[]> {
  const program =
    'const { buildRunner } = await import(process.argv[1]); process.stdout.write(JSON.stringify((await buildRunner(process.argv[2])).inputs));';
  const build = ['--input-type=module', '--eval', program, pathToFileURL(script).href, outDir];
  // If Berth is killed, the build ends with it.
  const printed = await mustRun('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, ...build]);
  return z.array(z.string()).parse(JSON.parse(printed));
}
