import { flushPkt, pktLine, sideBand } from './pkt-line.ts';

/** What became of a push, in the words of `report-status` (gitprotocol-pack, "Report Status"). */
export interface PushReport {
  /** `null`: the objects were taken. */
  unpackFailure: string | null;
  refs: readonly { ref: string; failure: string | null }[];
}

/** The answer's body for a client with these capabilities; one that asked for no report gets none. */
export function encodeReport(report: PushReport, capabilities: ReadonlySet<string>): Buffer {
  const status = Buffer.concat([
    pktLine(`unpack ${report.unpackFailure === null ? 'ok' : oneLine(report.unpackFailure)}\n`),
    ...report.refs.map(({ ref, failure }) => pktLine(failure === null ? `ok ${ref}\n` : `ng ${ref} ${oneLine(failure)}\n`)),
    flushPkt,
  ]);
  const wanted = capabilities.has('report-status') || capabilities.has('report-status-v2');
  if (capabilities.has('side-band-64k')) return Buffer.concat([...(wanted ? [sideBand(1, status)] : []), flushPkt]);
  return wanted ? status : Buffer.alloc(0);
}

/** A line that git shows with `remote:` in front; nothing for a client without side bands. */
export function encodeProgress(line: string, capabilities: ReadonlySet<string>): Buffer {
  return capabilities.has('side-band-64k') ? sideBand(2, Buffer.from(`${oneLine(line)}\n`)) : Buffer.alloc(0);
}

const maxChars = 500;

function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is removed
  return text.replace(/[\x00-\x1f\x7f]+/g, ' ').slice(0, maxChars);
}
