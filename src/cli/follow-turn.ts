import type { BerthClient, SessionEvent } from '../sdk/index.ts';
import type { CliContext } from './context.ts';
import { exitCode, type ExitCode } from './exit-codes.ts';
import { onInterrupt } from './interrupt.ts';
import { createOutageNotice } from './outage.ts';
import { createPermissionAnswers } from './permission-answers.ts';
import type { AllowPolicy } from './render/permission.ts';
import { createTranscriptPrinter } from './transcript-printer.ts';

export interface FollowTurn {
  sessionId: string;
  turnId: string;
  /** Events with a greater `seq` are shown. */
  from: number;
  allow: AllowPolicy;
  cwd: string | null;
}

/**
 * Shows a session until one of its turns has ended, answers permission requests on the way, and
 * gives the exit code of that turn's end. Ctrl-C interrupts the turn; a second one leaves.
 */
export async function followTurn(context: CliContext, client: BerthClient, options: FollowTurn): Promise<ExitCode> {
  const { sessionId, turnId, from, allow, cwd } = options;
  const printer = createTranscriptPrinter(context, {
    cwd,
    answerWith: context.interactive && allow === 'ask' ? 'keys' : 'command',
  });
  const answers = createPermissionAnswers({
    client,
    sessionId,
    policy: allow,
    interactive: context.interactive,
    say: (line) => printer.say(line),
  });
  using _ctrlC = onInterrupt(() => {
    printer.say('interrupting the turn; Ctrl-C again leaves it running');
    client.sessions.interrupt(sessionId).catch((error: Error) => printer.say(`not interrupted: ${error.message}`));
  });
  answers.begin();
  const outage = createOutageNotice((line) => printer.say(line));
  try {
    const events = client.sessions.events(sessionId, {
      from,
      onReconnect: () => outage.lost(),
    });
    for await (const event of events) {
      outage.back();
      printer.print(event);
      answers.see(event);
      if (event.type === 'turn.ended' && event.turnId === turnId) return codeOf(event, answers.refused);
    }
    return exitCode.failed;
  } finally {
    answers.end();
    printer.rest();
  }
}

function codeOf(event: Extract<SessionEvent, { type: 'turn.ended' }>, refused: number): ExitCode {
  switch (event.data.outcome) {
    case 'cancelled':
      return exitCode.interrupted;
    case 'failed':
      return exitCode.failed;
    case 'completed':
      if (refused > 0) return exitCode.permissionRefused;
      // The model itself would not go on; the turn did not do its work.
      return event.data.stopReason === 'refusal' ? exitCode.failed : exitCode.ok;
  }
}
