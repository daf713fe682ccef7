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
  /**
   * Directory with two named pipes, `in` and `out`, that lead to the server; see `serial-link.ts`. The token and the
   * sandbox's environment then come from there; until they do the runner answers nothing but its health.
   */
  link: 'BERTH_RUNNER_LINK',
  /** Port on 127.0.0.1 where it answers DNS questions by the gateway. Optional; absent, it answers none. */
  namesPort: 'BERTH_RUNNER_NAMES_PORT',
  /** Where the journals are kept. Must be on the sandbox's disk. Default `$HOME/.local/state/berth`. */
  stateDir: 'BERTH_RUNNER_STATE_DIR',
  /** Directories that the file routes may touch, with `:` between. Default `/home/user:/tmp`. */
  fileRoots: 'BERTH_RUNNER_FILE_ROOTS',
} as const;

/** A file of the socket's name with this makes a rest (`POST /rest`) last until it is removed. */
export const restFileSuffix = '.rest';

export const runnerEntry = 'main.mjs';

/**
 * Chosen by measuring the bundle on Node 24.21, idle (`Private_Dirty` of smaps_rollup) and at start. Left out: `--expose-gc`
 * (30 ms later at start: it invalidates Node's code cache; see src/runner/collect-garbage.ts), `--lite-mode`, `--optimize-for-size`,
 * `--max-lazy`, `--single-threaded` (no gain), `--jitless` (0.3 MB less and everything slow), `MALLOC_ARENA_MAX=1` (0.3 MB).
 */
export const runnerNodeFlags: readonly string[] = [
  // The young generation would grow to 3 x 16 MB under load and be kept.
  '--max-semi-space-size=1',
  // A leak ends the runner before it eats the memory of the sandbox, which its agent needs.
  '--max-old-space-size=256',
  // No V8 worker threads: three stacks and allocation arenas less for each sandbox.
  '--v8-pool-size=0',
  // SIGUSR1 would open a debugger, by which any process of the same user could read the token.
  '--disable-sigusr1',
];
