import { openStore } from './open-store.fixture.ts';
import { messageEvent, turnRecord } from '../../test/conformance/store-records.ts';
import type { NewEvent } from '../core/ports/store.ts';

/**
 * The victim of `kill.test.ts`: writes transactions as fast as it can until it is killed, and prints the
 * session's `lastSeq` after each commit. Every transaction appends events of a journal, some of them for the
 * second time, starts or ends a turn, and notes in the title what `lastSeq` it left.
 */
const { STORE: location = '', SESSION: sessionId = '' } = process.env;
const store = await openStore(location);

for (;;) {
  const lastSeq = await store.transaction(async (tx) => {
    const session = await tx.session(sessionId);
    if (session === null) throw new Error('the session is gone');
    const active = (await tx.turns(sessionId, ['running']))[0];
    if (active === undefined) await tx.insertTurn(turnRecord(sessionId, { state: 'running' }));
    else await tx.updateTurn(active.id, { state: 'completed' });
    // A pause in the open transaction, so that kills hit it too and not the commit alone.
    await new Promise(setImmediate);
    const seq = await tx.appendEvents(sessionId, journalPart(session.journalSeq));
    await tx.updateSession(sessionId, { title: String(seq) });
    return seq;
  });
  process.stdout.write(`${lastSeq}\n`);
}

/** From a little before the cursor to some way after it, with an event of the server's own among them. */
function journalPart(cursor: number): NewEvent[] {
  const events: NewEvent[] = [];
  const last = cursor + 1 + Math.floor(Math.random() * 120);
  for (let seq = Math.max(1, cursor - 5); seq <= last; seq += 1) {
    events.push(messageEvent(`journal ${seq}`, { id: 'jnl_a', seq }));
  }
  return [...events, messageEvent('own')];
}
