import { pino } from 'pino';
import type { Logger } from '../core/ports/logger.ts';
import type { Config } from './config.ts';

/** Structured lines to a file only its owner can read, or to stderr. */
export function createLogger(config: Pick<Config, 'log' | 'logLevel'>): Logger {
  const destination =
    config.log === 'stderr'
      ? pino.destination(2)
      : pino.destination({ dest: config.log, mkdir: true, mode: 0o600 });
  return pino(
    {
      level: config.logLevel,
      base: { pid: process.pid },
      // Nothing is meant to log these; should something, the value does not get out.
      redact: { paths: ['token', 'apiKey', 'authorization', '*.token', '*.apiKey', '*.authorization'], censor: '[redacted]' },
    },
    destination,
  );
}
