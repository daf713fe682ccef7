import { fetchGuestKernel } from '../src/sandbox/microvm/guest-kernel.ts';

/** Has the kernel of microVMs ready, which is otherwise fetched when the first is made. A failure is told in a line and not more. */
try {
  const { version } = await fetchGuestKernel();
  process.stdout.write(`kernel for microVMs ${version} is ready\n`);
} catch (error) {
  process.stdout.write(`no microVMs: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
