import { Command } from 'commander';
import { createBerthClient, type BerthClient } from '../sdk/index.ts';
import { resolveConnection } from './connection.ts';
import { safeJson } from './render/sanitize.ts';
import { createStyle, wantsColor, type Style } from './render/style.ts';

/** What a command has to work with: the server, the two output streams, and what they can show. */
export interface CliContext {
  /** Machine-readable output: one JSON document, or one per line for streams. */
  json: boolean;
  /** Both ends are a terminal, so a person can be asked. */
  interactive: boolean;
  /** Output goes to a terminal. */
  terminal: boolean;
  style: Style;
  /** Columns; 80 where nobody knows. */
  width: number;
  flags: { url?: string; token?: string };
  /** Finds the server at the first call. */
  client(): Promise<BerthClient>;
  /** The result, to stdout. */
  write(text: string): void;
  /** A JSON document to stdout: indented, or on one line as part of a stream. */
  writeJson(value: unknown, form?: 'document' | 'line'): void;
  /** For the person beside the result, to stderr; nothing with `--json`. */
  notice(line: string): void;
}

export interface GlobalFlags {
  json?: boolean;
  url?: string;
  token?: string;
}

/** Neither unreadably narrow nor wider than eyes follow. */
const minWidth = 40;
const maxWidth = 120;

export function createContext(flags: GlobalFlags): CliContext {
  const json = flags.json === true;
  let client: BerthClient | null = null;
  const stdout = process.stdout;
  return {
    json,
    terminal: stdout.isTTY === true,
    interactive: stdout.isTTY === true && process.stdin.isTTY === true && !json,
    style: createStyle(!json && wantsColor(stdout, process.env)),
    width: Math.min(maxWidth, Math.max(minWidth, stdout.columns ?? 80)),
    flags,
    async client() {
      if (client === null) {
        const { url, token } = await resolveConnection(flags, process.env);
        client = createBerthClient({ baseUrl: url, token });
      }
      return client;
    },
    write: (text) => void stdout.write(text),
    writeJson: (value, form = 'document') => void stdout.write(`${safeJson(value, form === 'line' ? undefined : 2)}\n`),
    notice: (line) => void (json || process.stderr.write(`${line}\n`)),
  };
}

/** A command's work: arguments and options in, exit code out; nothing means success. */
export type Handler<Options> = (
  context: CliContext,
  args: { argument: readonly string[]; options: Options },
) => Promise<number | void>;

/**
 * Makes a commander action of a handler. The exit code is left in `process.exitCode`; failures are
 * thrown to `main.ts`, the one place that reports them.
 */
export function action<Options>(handler: Handler<Options>): (...raw: unknown[]) => Promise<void> {
  return async (...raw) => {
    const command = raw.at(-1) as Command;
    const options = command.optsWithGlobals() as Options & GlobalFlags;
    const argument = raw
      .slice(0, -2)
      .flat()
      .filter((each): each is string => typeof each === 'string');
    process.exitCode = (await handler(createContext(options), { argument, options })) ?? 0;
  };
}
