import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, pack, type Headers } from 'tar-stream';
import { guestUser } from '../../../core/ports/sandbox-provider.ts';
import type { Owner } from './owner.ts';

/**
 * An archive that came out of a container, with the ids that its files have in there: with `userns-remap` Docker writes those of
 * this machine, and takes them for the container's when the archive goes into another (github.com/moby/moby/issues/43698).
 */
export function toOwnIds(archive: NodeJS.ReadableStream, owner: Owner): NodeJS.ReadableStream {
  const shift = { uid: owner.uid - guestUser.uid, gid: owner.gid - guestUser.gid };
  if (shift.uid === 0 && shift.gid === 0) return archive;
  const result = pack();
  const entries = extract();
  const copied = (async () => {
    for await (const entry of entries) await pipeline(entry, result.entry(shifted(entry.header, shift)));
    result.finalize();
  })();
  void Promise.all([pipeline(archive, entries), copied]).catch((error: Error) => result.destroy(error));
  return Readable.from(result);
}

/** Where an engine writes the container's own they are below the first of this machine's. */
function shifted({ pax, ...header }: Headers & { pax?: Record<string, string> }, shift: Owner): Headers {
  // An id that is too long for its field is among these.
  const { uid = String(header.uid), gid = String(header.gid), ...rest } = pax ?? {};
  const own = (id: number, by: number) => (id >= by ? id - by : id);
  return { ...header, uid: own(Number(uid), shift.uid), gid: own(Number(gid), shift.gid), ...(pax === undefined ? {} : { pax: rest }) };
}
