import { reportFailure } from './failure.ts';
import { createProgram } from './program.ts';

const argv = process.argv.slice(2);
// What follows `--` belongs to the remote command.
const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
const json = own.includes('--json');

// `berth logs x | head` closes the pipe early, which is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

try {
  await createProgram({ json }).parseAsync(argv, { from: 'user' });
} catch (error) {
  process.exitCode = reportFailure(error, json);
}
// Sockets kept alive and an unread standard input would hold the process, so it is ended; but not
// before a slow reader of a pipe has got everything.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))));
process.exit();
