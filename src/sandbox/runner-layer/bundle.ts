import { existsSync } from 'node:fs';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { BerthError } from '../../protocol/errors.ts';
import { mustRun } from '../run-command.ts';

/** Puts the runner's bundle into `outDir`, which does not exist yet, and resolves to the bundle's version. */
export type PlaceBundle = (outDir: string) => Promise<string>;

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));

/**
 * In a checkout the runner is built anew, in under a second, so that it is never older than its source;
 * a published package has it in `build/runner`.
 */
export const placePackagedBundle: PlaceBundle = async (outDir) => {
  const script = join(packageRoot, 'scripts/build-runner.ts');
  if (existsSync(script)) {
    const program = 'const { buildRunner } = await import(process.argv[1]); await buildRunner(process.argv[2]);';
    const build = ['--input-type=module', '--eval', program, pathToFileURL(script).href, outDir];
    // If Berth is killed, the build ends with it instead of writing into a data directory that is being removed.
    await mustRun('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, ...build]);
  } else {
    const built = join(packageRoot, 'build/runner');
    if (!existsSync(built)) throw new BerthError('unavailable', `the runner is not built: ${built} is missing`);
    await cp(built, outDir, { recursive: true });
  }
  return (await readFile(join(outDir, 'version'), 'utf8')).trim();
};
