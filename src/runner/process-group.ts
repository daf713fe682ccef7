/** Signals a whole process group; `false` when it is gone. Every process here leads its own group. */
export function signalGroup(pid: number | undefined, signal: NodeJS.Signals): boolean {
  // 0 and 1 would be the runner's own group and everything.
  if (pid === undefined || pid <= 1) return false;
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}
