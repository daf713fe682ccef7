import { createInterface, type Interface } from 'node:readline';
import { BerthError, type BerthClient, type Session } from '../sdk/index.ts';
import type { CliContext } from './context.ts';
import { onInterrupt } from './interrupt.ts';
import { createOutageNotice } from './outage.ts';
import { createPermissionAnswers } from './permission-answers.ts';
import type { AllowPolicy } from './render/permission.ts';
import { columns } from './render/width.ts';
import { createTranscriptPrinter } from './transcript-printer.ts';

/**
 * A person in conversation with a session. Two states, by the log alone: *busy* (a turn is queued or
 * runs; events are shown, permission requests asked, Ctrl-C interrupts) and *idle* (a line is read
 * and becomes the next prompt). A turn that somebody else starts takes the half-typed line away and
 * gives it back afterwards. Nothing is asked before the log has caught up with the present.
 *
 * Without a terminal it only follows. Resolves when the person leaves.
 */
export async function converse(
  context: CliContext,
  client: BerthClient,
  options: { session: Session; from: number; allow: AllowPolicy },
): Promise<void> {
  const { session, from, allow } = options;
  const leave = new AbortController();
  const printer = createTranscriptPrinter(context, {
    cwd: session.cwd,
    answerWith: context.interactive && allow === 'ask' ? 'keys' : 'command',
  });
  const answers = createPermissionAnswers({
    client,
    sessionId: session.id,
    policy: allow,
    interactive: context.interactive,
    say: (line) => printer.say(line),
  });
  const openTurns = new Set<string>();
  const line = createPromptLine(context, {
    submit: (text) => {
      client.sessions.prompt(session.id, text).catch((error: Error) => {
        printer.say(`not sent: ${error.message}`);
        if (openTurns.size === 0) line.open(text);
      });
    },
    leave: () => leave.abort(),
  });
  using ctrlC = onInterrupt(() => {
    if (openTurns.size === 0) return leave.abort();
    printer.say('interrupting the turn; Ctrl-C again leaves it running');
    client.sessions.interrupt(session.id).catch((error: Error) => printer.say(`not interrupted: ${error.message}`));
  });
  const caughtUp = (): void => {
    // Someone who only looks on (no terminal, no policy) must not refuse what others are asked.
    if (context.interactive || allow !== 'ask') answers.begin();
    if (openTurns.size === 0) line.open();
  };

  let live = from >= session.lastSeq;
  if (live) {
    for (const turn of await client.sessions.turns(session.id)) if (turn.endedAt === null) openTurns.add(turn.id);
    caughtUp();
  }
  const outage = createOutageNotice((line) => printer.say(line));
  try {
    const events = client.sessions.events(session.id, {
      from,
      signal: leave.signal,
      onReconnect: () => outage.lost(),
    });
    for await (const event of events) {
      outage.back();
      line.close();
      if (event.type === 'turn.queued' && event.turnId !== null) openTurns.add(event.turnId);
      if (event.type === 'turn.ended' && event.turnId !== null) openTurns.delete(event.turnId);
      if (openTurns.size === 0) ctrlC.reset();
      printer.print(event);
      answers.see(event);
      if (!live && event.seq >= session.lastSeq) {
        live = true;
        caughtUp();
      } else if (live && openTurns.size === 0) {
        line.open();
      }
    }
  } catch (error) {
    if (!leave.signal.aborted) throw error;
    if (!(error instanceof BerthError)) throw error;
  } finally {
    line.close();
    answers.end();
    printer.rest();
  }
  context.notice(context.style.dim(`\nleft ${session.id}; it goes on without you`));
}

/** The line in which the next prompt is typed; open only while the session is idle. */
interface PromptLine {
  open(text?: string): void;
  close(): void;
}

function createPromptLine(context: CliContext, on: { submit: (text: string) => void; leave: () => void }): PromptLine {
  if (!context.interactive) return { open: () => undefined, close: () => undefined };
  let reader: Interface | null = null;
  let draft = '';
  const close = (): void => {
    if (reader === null) return;
    draft = reader.line;
    takeAway(reader.getCursorPos().rows);
    end();
  };
  /** Only our own listener goes: readline cleans up after itself in others. */
  const end = (): void => {
    reader?.off('close', on.leave);
    reader?.close();
    reader = null;
  };
  /** Erases the line, the rows that it wraps over, and the blank line above it. */
  const takeAway = (rowsAbove: number): void => context.write(`\r\u001b[${rowsAbove + 1}A\u001b[0J`);
  return {
    close,
    open(text) {
      if (reader !== null) return;
      reader = createInterface({ input: process.stdin, output: process.stdout, prompt: context.style.cyan('❯ ') });
      context.write('\n');
      reader.prompt();
      reader.write(text ?? draft);
      draft = '';
      reader.on('line', (typed) => {
        if (typed.trim() === '') return reader?.prompt();
        // The log shows the prompt when it is admitted; the typed copy is taken away.
        takeAway(Math.floor((columns(typed) + 2) / (process.stdout.columns || 80)) + 1);
        end();
        on.submit(typed);
      });
      reader.on('SIGINT', on.leave);
      reader.on('close', on.leave);
    },
  };
}
