/**
 * How a provider starts the runner: `node ...runnerNodeFlags <runner>/main.mjs`, as `user`, below an
 * init that reaps, with the environment that every process of the sandbox shall have plus these.
 * The runner passes its own environment on to what it starts, without the `BERTH_*` part.
 */
export const runnerEnv = {
  /** Unix socket to listen on. Optional. */
  socket: 'BERTH_RUNNER_SOCKET',
  /** TCP port to listen on at 127.0.0.1; `runnerPort` when absent, `none` for the socket alone. */
  port: 'BERTH_RUNNER_PORT',
  /**
   * A file that holds the bearer token. Read once, then removed where the runner may, so that the token
   * is neither in an environment nor on a disk that agent code can read. Must be there at each start.
   */
  tokenFile: 'BERTH_RUNNER_TOKEN_FILE',
  /** Where the journals are kept. Must be on the sandbox's disk. Default `$HOME/.local/state/berth`. */
  stateDir: 'BERTH_RUNNER_STATE_DIR',
  /** Directories that the file routes may touch, with `:` between. Default `/home/user:/tmp`. */
  fileRoots: 'BERTH_RUNNER_FILE_ROOTS',
} as const;

export const runnerEntry = 'main.mjs';

/**
 * Measured on Node 24.21 with the bundle, idle (`Private_Dirty` of smaps_rollup); see the decision of
 * 2026-11 in docs/decisions. Tried and left out: `--lite-mode`, `--optimize-for-size`, `--max-lazy`,
 * `--single-threaded` (no gain), `--jitless` (gains 0.3 MB, makes everything slow).
 */
export const runnerNodeFlags: readonly string[] = [
  // The default young generation grows to 3 x 16 MB under load and is not given back at once.
  '--max-semi-space-size=1',
  // A leak ends the runner, which its init restarts or reports, before it eats the sandbox's memory.
  '--max-old-space-size=256',
  // No V8 worker threads: three stacks and allocation arenas less for each sandbox.
  '--v8-pool-size=0',
  // Lets the runner collect when it falls idle (src/runner/idle-memory.ts): 1.5 MB less.
  '--expose-gc',
  // SIGUSR1 would open a debugger, which any process of the same user could use to read the token.
  '--disable-sigusr1',
];
