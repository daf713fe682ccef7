/** What a run has on this machine, the newest last. */
const open: (() => Promise<void>)[] = [];

/** A run that is interrupted takes away what it has. Resolves to what takes it away now, once. */
export function removable(remove: () => Promise<void>): () => Promise<void> {
  open.push(remove);
  return async () => {
    const at = open.indexOf(remove);
    if (at < 0) return;
    open.splice(at, 1);
    await remove();
  };
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    process.stderr.write('bench: interrupted, clearing up\n');
    void (async () => {
      for (const remove of open.toReversed()) await remove().catch((error: unknown) => process.stderr.write(`bench: ${String(error)}\n`));
      process.exit(130);
    })();
  });
}
