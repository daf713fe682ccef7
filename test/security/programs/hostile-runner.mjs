// Puts itself in the place of the runner's socket and answers as a runner must not. What it was sent goes to standard output.
import { appendFileSync, renameSync, symlinkSync, unlinkSync } from 'node:fs';
import { createServer } from 'node:http';

const own = '/berth/run/runner.sock';
const away = '/berth/run/away.sock';
const seen = '/home/user/seen';

const answers = {
  'GET /health': (response) => json(response, { version: 'x', pid: 1, uptimeMs: 1, gatewayConnected: true }),
  // Headers without an end.
  'GET /files/stat': ({ socket }) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    const more = () => {
      while (!socket.destroyed && socket.write(`x-${'a'.repeat(1000)}: b\r\n`));
      if (!socket.destroyed) socket.once('drain', more);
    };
    more();
  },
  // Names that lead elsewhere where they are joined to a directory.
  'GET /files/list': (response) =>
    json(response, ['../../escaped', '/etc/escaped', '..', 'a/../../escaped'].map((name) => ({ path: `/home/user/${name}`, name, type: 'file', sizeBytes: 1, mode: 0o4777, modifiedAt: new Date().toISOString() }))),
  // More than anybody wants to hold.
  'GET /ports': async (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('[');
    const part = '{"port":1,"address":"127.0.0.1","pid":null},'.repeat(10_000);
    for (let i = 0; i < 2000 && !response.destroyed; i++) if (!response.write(part)) await new Promise((go) => response.once('drain', go).once('close', go));
    response.end('1]');
  },
  'POST /exec': (response) => json(response, { exitCode: 'zero', signal: {}, stdout: '<script>', stderr: null }),
  'GET /processes': (response) => response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data/' }).end(),
  'GET /sessions': (response) => {
    // A journal that goes back, leaps and tells of another session's turn.
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    const line = (value) => response.write(`${JSON.stringify(value)}\n`);
    line({ journalId: 'jrn_hostile', lastSeq: 3 });
    const entry = (seq, turnId, type, data) => line({ seq, at: new Date().toISOString(), turnId, type, data });
    entry(7, process.argv[2], 'turn.ended', { outcome: 'completed', stopReason: 'end_turn', error: null, usage: null });
    entry(2, process.argv[2], 'turn.ended', { outcome: 'completed', stopReason: 'end_turn', error: null, usage: null });
    entry(-1, null, 'agent.log', { level: 'info', message: 'x' });
    response.write(`${'x'.repeat(4_000_000)}\n`);
  },
  'PUT /sessions': (response, id) =>
    json(response, { sessionId: id, journalId: 'jrn_hostile', lastSeq: 0, agent: 'x', acpSessionId: 'x', running: true, turnId: null, openPermissions: [], modeId: null, capabilities: {} }),
  'POST /sessions': (response) => response.writeHead(202).end(),
};

function json(response, value) {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function routeOf(request) {
  const [, first, second] = new URL(request.url, 'http://x').pathname.split('/');
  return [`${request.method} /${first}/${second}`, `${request.method} /${first}`];
}

const server = createServer((request, response) => {
  appendFileSync(seen, `${request.method} ${request.url} ${request.headers.authorization ?? ''}\n`);
  request.resume();
  response.on('error', () => {});
  const answer = routeOf(request).map((route) => answers[route]).find(Boolean);
  if (answer === undefined) return response.writeHead(500).end('{"error":{"code":"internal","message":"\u001b[2J"}}');
  answer(response, new URL(request.url, 'http://x').pathname.split('/')[2]);
});
server.on('upgrade', (request, socket) => {
  appendFileSync(seen, `UPGRADE ${request.url} ${request.headers.authorization ?? ''}\n`);
  socket.on('error', () => {});
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${request.headers.upgrade}\r\n\r\n`);
  // A frame of four gigabytes; to an HTTP/2 peer, garbage.
  socket.write(Buffer.from([1, 0xff, 0xff, 0xff, 0xff]));
  const more = () => {
    while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 1)));
    if (!socket.destroyed) socket.once('drain', more);
  };
  more();
});

renameSync(own, away);
if (process.argv[3] === 'link') {
  // To whatever listens at that path on the host.
  symlinkSync(process.argv[4], own);
  setInterval(() => {}, 60_000);
} else {
  server.listen(own, () => process.stdout.write('in place\n'));
}
process.on('SIGTERM', () => {
  unlinkSync(own);
  renameSync(away, own);
  process.exit(0);
});
