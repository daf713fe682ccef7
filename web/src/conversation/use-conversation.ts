import { useEffect, useState } from 'react';
import { BerthError } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { ConversationModel, emptyFacts, type Conversation } from './model.ts';

export interface LiveConversation extends Conversation {
  /** The log's end has been reached once. */
  loaded: boolean;
  /** Why nothing new arrives at the moment; it is tried again by itself. */
  lost: string | null;
  /** Why it will not be tried again. */
  failure: BerthError | null;
}

const nothing: LiveConversation = { items: [], facts: emptyFacts, loaded: false, lost: null, failure: null };
/** While text streams, as often as an eye needs it. */
const publishMs = 40;

/**
 * A session's conversation, from its first event on and for as long as the page is open. The client library numbers: every event
 * comes once and in order, over any number of lost connections.
 */
export function useConversation(sessionId: string, lastSeq: number | undefined): LiveConversation {
  const [live, setLive] = useState<LiveConversation>(nothing);
  const [end, setEnd] = useState<number | null>(null);
  if (end === null && lastSeq !== undefined) setEnd(lastSeq);

  useEffect(() => {
    if (end === null) return;
    const stop = new AbortController();
    const model = new ConversationModel();
    let lost: string | null = null;
    let failure: BerthError | null = null;
    let timer: ReturnType<typeof setTimeout> | null = null;
    let seq = 0;

    const publish = (): void => {
      timer = null;
      if (!stop.signal.aborted) setLive({ ...model.snapshot(), loaded: seq >= end || failure !== null, lost, failure });
    };
    const soon = (): void => {
      // A long log is drawn once it is all there, not a hundred times on the way.
      timer ??= setTimeout(publish, seq < end ? 250 : publishMs);
    };

    async function follow(): Promise<void> {
      const events = client.sessions.events(sessionId, {
        over: 'websocket',
        signal: stop.signal,
        onConnect: () => {
          if (lost === null) return;
          lost = null;
          publish();
        },
        onReconnect: (error) => {
          lost = error.message;
          publish();
        },
      });
      try {
        for await (const event of events) {
          seq = event.seq;
          model.apply(event);
          if (seq === end) publish();
          else soon();
        }
      } catch (error) {
        if (stop.signal.aborted) return;
        failure = error instanceof BerthError ? error : new BerthError('internal', String(error), { cause: error });
        publish();
      }
    }
    void follow();
    return () => {
      stop.abort();
      if (timer !== null) clearTimeout(timer);
    };
  }, [sessionId, end]);

  return live;
}
