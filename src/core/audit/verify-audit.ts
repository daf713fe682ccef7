import type { AuditVerdict } from '../../protocol/audit.ts';
import type { AuditRecord, StoreReads } from '../ports/store.ts';
import { genesisHash, hashEntry } from './chain.ts';

const pageSize = 500;

type Broken = NonNullable<AuditVerdict['broken']>;

/**
 * Walks the whole log and says which entry is the first that is not as it was written. The log itself cannot tell that
 * its end was cut off together with its record of where it ends, or that all of it was made anew: who keeps a head
 * elsewhere gives it as `expectedHead`, and the log must still have an entry of that hash.
 *
 * What is appended meanwhile is not looked at. Rejects with the signal's reason.
 */
export async function verifyAudit(
  reads: Pick<StoreReads, 'audit' | 'auditHead'>,
  expectedHead: string | null,
  signal: AbortSignal,
): Promise<AuditVerdict> {
  const head = await reads.auditHead();
  let last = { seq: 0, hash: genesisHash };
  let expectedFound = expectedHead === null || expectedHead === genesisHash;
  const verdict = (broken: Broken | null): AuditVerdict => ({
    intact: broken === null,
    entries: last.seq,
    head: { seq: last.seq, hash: last.hash },
    broken,
  });

  while (last.seq < head.seq) {
    signal.throwIfAborted();
    const page = await reads.audit({ after: last.seq, order: 'oldest', limit: pageSize });
    if (page.length === 0) return verdict(missing(last.seq + 1, head.seq));
    for (const entry of page) {
      if (entry.seq > head.seq) break;
      const broken = faultOf(entry, last);
      if (broken !== null) return verdict(broken);
      last = { seq: entry.seq, hash: entry.hash };
      expectedFound ||= entry.hash === expectedHead;
    }
    if (last.seq < head.seq && page.at(-1)!.seq > head.seq) return verdict(missing(last.seq + 1, head.seq));
  }
  if (last.hash !== head.hash) {
    return verdict({
      seq: last.seq,
      fault: 'changed',
      message: `entry ${last.seq} is not the one that the log ends with`,
    });
  }
  const [behind] = await reads.audit({ after: last.seq, order: 'oldest', limit: 1 });
  // Read after it: an entry that was appended meanwhile is within the head by now.
  if (behind !== undefined && behind.seq > (await reads.auditHead()).seq) {
    return verdict({
      seq: behind.seq,
      fault: 'surplus',
      message: `entry ${behind.seq} is behind the end of the log, ${head.seq}`,
    });
  }
  if (!expectedFound) {
    return verdict({
      seq: null,
      fault: 'head_not_found',
      message: 'no entry has the expected hash: the end of the log was cut off, or the log was made anew',
    });
  }
  return verdict(null);
}

function missing(seq: number, end: number): Broken {
  return { seq, fault: 'missing', message: `entry ${seq} is missing; the log ends with entry ${end}` };
}

function faultOf(entry: AuditRecord, last: { seq: number; hash: string }): Broken | null {
  const { seq } = entry;
  if (seq !== last.seq + 1) {
    return {
      seq: last.seq + 1,
      fault: 'unlinked',
      message: `entry ${last.seq + 1} is missing; entry ${seq} follows entry ${last.seq}`,
    };
  }
  if (entry.prevHash !== last.hash) {
    return { seq, fault: 'unlinked', message: `entry ${seq} does not follow entry ${last.seq}` };
  }
  if (hashEntry(entry) !== entry.hash) return { seq, fault: 'changed', message: `entry ${seq} was changed` };
  return null;
}
