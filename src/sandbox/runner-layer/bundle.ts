import { existsSync } from 'node:fs';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../protocol/errors.ts';
import { currentRunnerBuild, isCheckout, packageRoot } from './checkout.ts';

/** Puts the runner's bundle into `outDir`, which does not exist yet, and resolves to the bundle's version. */
export type PlaceBundle = (outDir: string) => Promise<string>;

/** In a checkout the runner is built whenever its source has changed; a published package has it in `build/runner`. */
export const placePackagedBundle: PlaceBundle = async (outDir) => {
  const built = isCheckout ? await currentRunnerBuild() : join(packageRoot, 'build/runner');
  if (!existsSync(built)) throw new BerthError('unavailable', `the runner is not built: ${built} is missing`);
  await cp(built, outDir, { recursive: true });
  return (await readFile(join(outDir, 'version'), 'utf8')).trim();
};
