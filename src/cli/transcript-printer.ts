import type { SessionEvent } from '../sdk/index.ts';
import type { CliContext } from './context.ts';
import { emptyTranscript, reduceTranscript, type TranscriptOptions } from './render/transcript.ts';
import { truncate } from './render/width.ts';

/** Shows events: as a transcript, or one JSON document per line. */
export interface TranscriptPrinter {
  print(event: SessionEvent): void;
  /** A line beside the transcript, for the person who watches; nothing with `--json`. */
  say(line: string): void;
  /** Ends an open line and takes the status line away. Events may still follow. */
  rest(): void;
}

const eraseLine = '\r\u001b[2K';

/**
 * On a terminal the last line tells what is under way; it is erased before anything is written and
 * never drawn while a line of streamed text is open.
 */
export function createTranscriptPrinter(
  context: CliContext,
  options: Pick<TranscriptOptions, 'cwd' | 'answerWith'>,
): TranscriptPrinter {
  let state = emptyTranscript;
  let drawn = false;
  const erase = (): void => {
    if (drawn) context.write(eraseLine);
    drawn = false;
  };
  const draw = (status: string | null): void => {
    if (status === null || state.open || !context.terminal || context.json) return;
    context.write(context.style.dim(truncate(`⋯ ${status}`, context.width - 1)));
    drawn = true;
  };
  return {
    print(event) {
      if (context.json) return context.writeJson(event, 'line');
      const step = reduceTranscript(state, event, { style: context.style, width: context.width, ...options });
      erase();
      state = step.state;
      context.write(step.text);
      draw(step.status);
    },
    say(line) {
      erase();
      if (state.open && context.terminal) context.write('\n');
      context.notice(line);
      draw(state.activity);
    },
    rest() {
      erase();
      if (state.open && !context.json) context.write('\n');
      state = { ...state, open: false, heldNewlines: 0 };
    },
  };
}
