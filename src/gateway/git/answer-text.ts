import type { IncomingMessage, ServerResponse } from 'node:http';

/** What is read of a request that is refused, so that its sender gets to the answer. */
const maxDrainedBytes = 64 * 1024 * 1024;

/** A refusal in words: git shows a text answer line by line, with `remote:` in front. */
export function answerText(request: IncomingMessage, response: ServerResponse, status: number, message: string): void {
  if (response.headersSent) return void response.destroy();
  const body = `Berth: ${message}\n`;
  response.writeHead(status, { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(body), connection: 'close' });
  response.flushHeaders();
  response.end(body);
  drain(request);
}

function drain(request: IncomingMessage): void {
  if (request.destroyed || request.readableEnded) return;
  request.unpipe();
  let sizeBytes = 0;
  request.on('error', () => undefined);
  request.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes > maxDrainedBytes) request.destroy();
  });
}
