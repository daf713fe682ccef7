import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What stands for the world: a process of its own, so that its work is not on the gateway's event loop. Prints its port. */
const answer = Buffer.from(JSON.stringify({ type: 'message', content: [{ type: 'text', text: 'x'.repeat(900) }] }));
const block = Buffer.alloc(256 * 1024, 'x');

const server = createServer((request, response) => {
  request.resume();
  const bytes = /[?&]bytes=(\d+)/.exec(request.url ?? '')?.[1];
  if (bytes === undefined) {
    request.on('end', () => response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length }).end(answer));
    return;
  }
  let left = Number(bytes);
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': left });
  const more = (): void => {
    while (left > 0) {
      const part = block.subarray(0, Math.min(left, block.length));
      left -= part.length;
      if (!response.write(part)) return void response.once('drain', more);
    }
    response.end();
  };
  more();
});
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
