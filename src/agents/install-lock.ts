import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const retryMs = 500;

/**
 * Runs `fn` while this process alone holds the lock file; another process's lock is waited for and a
 * dead one's is taken over. It saves double work and lets leftovers be removed; should two processes
 * ever run at once (a process id taken over by another program), the final rename still admits one.
 */
export async function withInstallLock<T>(
  path: string,
  onProgress: (message: string) => void,
  signal: AbortSignal,
  fn: () => Promise<T>,
): Promise<T> {
  const mine = `${path}.${randomUUID()}`;
  await writeFile(mine, String(process.pid));
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        // Unlike `open` with O_EXCL, the file is there with its content or not at all.
        await link(mine, path);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      if (await isHolderDead(path)) {
        await rm(path, { force: true });
        continue;
      }
      if (attempt === 0) onProgress('another process installs this agent; waiting for it');
      await sleep(retryMs, undefined, { signal });
    }
  } finally {
    await rm(mine, { force: true });
  }
  try {
    return await fn();
  } finally {
    await rm(path, { force: true });
  }
}

async function isHolderDead(path: string): Promise<boolean> {
  const pid = Number(await readFile(path, 'utf8').catch(() => ''));
  // Gone meanwhile, or our own from a former life under the same pid: in-process callers share one run.
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
