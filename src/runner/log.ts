import { writeSync } from 'node:fs';

/**
 * One line for whoever looks after the machine. It goes to a file within the sandbox's disk limit, so a full disk refuses it: the
 * line is then dropped. Written as a stream it would come back as an uncaught error, be logged, be refused, and so on for ever.
 */
export function log(message: string): void {
  try {
    writeSync(2, `runner: ${message}\n`);
  } catch {
    // There is nowhere to say it.
  }
}
