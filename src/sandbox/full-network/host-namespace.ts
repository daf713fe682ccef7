import { commandFailed, mustRun, runCommand, type CommandResult } from '../run-command.ts';

/** Commands in the network namespace that the sandboxes' way out goes through. */
export interface HostNamespace {
  run(argv: readonly [string, ...string[]], signal?: AbortSignal): Promise<CommandResult>;
  /** As `run`, but anything other than exit 0 is `upstream_failed`. Resolves to stdout. */
  must(argv: readonly [string, ...string[]], signal?: AbortSignal): Promise<string>;
  /** Loads rules: all of them or none. */
  load(rules: string, options?: { check: boolean }): Promise<void>;
  /** For a script of its own: what a command there begins with. Empty for Berth's own namespace. */
  prefix: readonly string[];
}

/** `null`: Berth's own. */
export function openHostNamespace(path: string | null): HostNamespace {
  const prefix = path === null ? [] : ['nsenter', `--net=${path}`, '--'];
  const whole = (argv: readonly [string, ...string[]]) => [...prefix, ...argv] as [string, ...string[]];
  return {
    prefix,
    run(argv, signal) {
      const [program, ...args] = whole(argv);
      return runCommand(program, args, signal === undefined ? {} : { signal });
    },
    must(argv, signal) {
      const [program, ...args] = whole(argv);
      return mustRun(program, args, signal === undefined ? {} : { signal });
    },
    async load(rules, { check } = { check: false }) {
      // By an argument: a pipe for stdin is not among what `runCommand` offers, and rules hold no secret.
      const argv = whole(['nft', ...(check ? ['--check'] : []), rules]);
      const result = await runCommand(argv[0], argv.slice(1));
      if (result.exitCode !== 0) throw commandFailed('nft', ['rules'], result);
    },
  };
}
