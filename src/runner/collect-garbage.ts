type Collect = (options: { type: 'minor' | 'major'; execution: 'sync'; flavor?: 'last-resort' }) => void;

let collect: Collect | undefined;

/**
 * Runs V8's collector now. The flag `--expose-gc` on the command line would make V8 reject Node's built-in code cache and the
 * runner start 30 ms later, so it is set when first needed; the function then appears in new contexts only.
 */
export function collectGarbage(type: 'minor' | 'major'): void {
  if (collect === undefined) {
    process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc');
    collect = process.getBuiltinModule('node:vm').runInNewContext('gc') as Collect;
  }
  // Last resort: gives pages back to the kernel, too.
  collect({ type, execution: 'sync', ...(type === 'major' ? { flavor: 'last-resort' } : {}) });
}
