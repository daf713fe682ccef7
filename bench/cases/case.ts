import { mustRun } from '../../src/sandbox/run-command.ts';
import type { Docker, NoDocker } from '../docker.ts';
import type { BenchHost } from '../host.ts';
import { timed, type Contender } from '../measure.ts';
import type { Row } from '../table.ts';

export interface CaseContext {
  host: BenchHost;
  docker: Docker | NoDocker;
  /** Fewer rounds, for trying the benchmark out. */
  quick: boolean;
  /** Says what is going on, on stderr. */
  say: (line: string) => void;
}

export interface BenchCase {
  name: string;
  needsDocker: boolean;
  run(context: CaseContext): Promise<Row[]>;
}

/** A command line, timed from before its start to its end. Throws when it fails. */
export function commandContender(name: string, [file, ...args]: readonly [string, ...string[]]): Contender {
  return { name, measureMs: () => timed(() => mustRun(file, args, { stdio: ['ignore', 'ignore', 'pipe'] })) };
}
