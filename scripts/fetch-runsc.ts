import { fetchRunsc } from '../src/sandbox/gvisor/fetch-runsc.ts';

/** Has gVisor's runtime ready for `BERTH_RUNTIME=runsc`. Not part of the setup: it is used only where it is asked for. */
try {
  process.stdout.write(`${await fetchRunsc()} is ready: set BERTH_RUNTIME=runsc to use it\n`);
} catch (error) {
  process.stdout.write(`no gVisor: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
