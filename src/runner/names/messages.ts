/** What of a DNS message (RFC 1035) the runner looks at: the header's twelve bytes and the end of the question. */
const headerBytes = 12;
const udpBytes = 512;
/** The most that goes without fragments, whatever was offered (RFC 9715). */
const maxUdpBytes = 1232;
const isResponse = 0x80;
const isTruncated = 0x02;
const serverFailure = 2;
/** Of the root's empty name, OPT, and the size that the asker takes. */
const optionType = 41;

/** "I could not find out", to the same question. Empty for what is no message: nobody waits for an answer. */
export function failedAnswer(query: Buffer): Buffer {
  const end = questionEnd(query);
  return end === null ? Buffer.alloc(0) : headed(query, end, (header) => (header[3] = serverFailure));
}

/** The answer, or, where it is longer than the asker takes by UDP, the word to ask by TCP. */
export function cutForUdp(query: Buffer, answer: Buffer): Buffer {
  const end = questionEnd(query);
  if (end === null || answer.length <= takenBytes(query, end)) return answer;
  return headed(query, end, (header) => (header[2] = header[2]! | isTruncated));
}

function headed(query: Buffer, end: number, mark: (header: Buffer) => void): Buffer {
  const message = Buffer.from(query.subarray(0, end));
  message[2] = (message[2]! & 0x79) | isResponse;
  message[3] = 0;
  // One question, and nothing else.
  message.fill(0, 6, headerBytes);
  mark(message);
  return message;
}

function takenBytes(query: Buffer, end: number): number {
  if (query.length < end + 5 || query[end] !== 0 || query.readUInt16BE(end + 1) !== optionType) return udpBytes;
  return Math.min(Math.max(query.readUInt16BE(end + 3), udpBytes), maxUdpBytes);
}

/** `null` unless there is one question, whole. */
function questionEnd(query: Buffer): number | null {
  if (query.length < headerBytes || query.readUInt16BE(4) !== 1) return null;
  let at = headerBytes;
  for (;;) {
    const length = query[at];
    if (length === undefined || length > 63) return null;
    at += length + 1;
    if (length === 0) break;
  }
  return at + 4 > query.length ? null : at + 4;
}
