import { isBudgetQuestion } from '../protocol/budget.ts';
import { BerthError, type BerthClient, type SessionEvent } from '../sdk/index.ts';
import { chooseByPolicy, keyOptions, type AllowPolicy } from './render/permission.ts';
import { readKey } from './terminal.ts';

type Request = Extract<SessionEvent, { type: 'permission.requested' }>['data'];

/** Answers an agent's permission requests while a session is followed. */
export interface PermissionAnswers {
  /** A request or its resolution was seen. */
  see(event: SessionEvent): void;
  /** The log has caught up with the present: from now on open requests are answered. */
  begin(): void;
  /** Stops asking; requests that are still open stay open for others. */
  end(): void;
  /** Requests refused because nobody could be asked. */
  readonly refused: number;
}

const escape = '\u001b';

/**
 * `policy` `once` and `always` answer by themselves. `ask` asks the person at the terminal, one request
 * at a time; where there is none, requests are refused and counted, and the person is told why.
 */
export function createPermissionAnswers(options: {
  client: BerthClient;
  sessionId: string;
  policy: AllowPolicy;
  interactive: boolean;
  say: (line: string) => void;
}): PermissionAnswers {
  const { client, sessionId, policy, interactive, say } = options;
  const waiting = new Map<string, { request: Request; settled: AbortController }>();
  let live = false;
  let busy = false;
  let refused = 0;

  const decide = async (request: Request, signal: AbortSignal): Promise<string | null> => {
    // More money is a person's to give: no policy of this command line gives it.
    if (policy !== 'ask' && !isBudgetQuestion(request.requestId)) {
      const chosen = chooseByPolicy(request.options, policy) ?? chooseByPolicy(request.options, 'reject');
      say(`answered by --allow ${policy}`);
      return chosen;
    }
    if (!interactive) {
      refused++;
      say('refused: there is no terminal to ask. Use --allow once or --allow always, or answer with berth allow.');
      return chooseByPolicy(request.options, 'reject');
    }
    const keyed = keyOptions(request.options);
    const key = await readKey((pressed) => pressed === escape || keyed.some((each) => each.key === pressed), signal);
    return keyed.find((each) => each.key === key)?.option.optionId ?? null;
  };

  const work = async (): Promise<void> => {
    if (busy || !live) return;
    busy = true;
    try {
      for (;;) {
        const next = waiting.values().next().value;
        if (next === undefined || !live) return;
        const { request, settled } = next;
        try {
          const optionId = await decide(request, settled.signal);
          waiting.delete(request.requestId);
          await client.sessions.answerPermission(sessionId, request.requestId, optionId);
        } catch (error) {
          // Answered elsewhere in the meantime, or no longer asked: nothing is left to do.
          if (settled.signal.aborted || (error instanceof BerthError && error.code === 'conflict')) continue;
          say(`the answer did not reach the server: ${error instanceof Error ? error.message : String(error)}`);
        } finally {
          waiting.delete(request.requestId);
        }
      }
    } finally {
      busy = false;
    }
  };

  return {
    get refused() {
      return refused;
    },
    see(event) {
      // What a rule answers nobody need be asked.
      if (event.type === 'permission.requested' && event.data.answeredBy !== undefined) return;
      if (event.type === 'permission.requested') {
        waiting.set(event.data.requestId, { request: event.data, settled: new AbortController() });
        void work();
      } else if (event.type === 'permission.resolved') {
        waiting.get(event.data.requestId)?.settled.abort();
        waiting.delete(event.data.requestId);
      }
    },
    begin() {
      live = true;
      void work();
    },
    end() {
      live = false;
      for (const { settled } of waiting.values()) settled.abort();
      waiting.clear();
    },
  };
}
