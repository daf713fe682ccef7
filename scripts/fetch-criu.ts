import { fetchCriu } from '../src/sandbox/criu/fetch-criu.ts';

/** Has CRIU ready for hibernate. Without it everything else works, so a failure is told in a line and not more. */
try {
  const { version, source } = await fetchCriu();
  process.stdout.write(`CRIU ${version} (${source}) is ready\n`);
} catch (error) {
  process.stdout.write(`no hibernate: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
