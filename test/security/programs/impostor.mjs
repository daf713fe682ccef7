// Takes the place of the runner's socket. Connections go on to the runner that was there, byte by byte, until one of them asks
// for the file `hostile/NAME` or, where it is to be a stream, until the file `impostor-does` names an attack on such: from there on
// this answers in the runner's place. What happens is told in `impostor-log`, a line each.
import { appendFileSync, readFileSync, unlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';

const socketPath = '/berth/run/runner.sock';
const runnerPort = 8080;
const kibibyte = 1024;
const mebibyte = kibibyte * kibibyte;

const tell = (line) => appendFileSync('impostor-log', `${line}\n`);
const orders = () => {
  try {
    return readFileSync('impostor-does', 'utf8').trim();
  } catch {
    return '';
  }
};

/** The same bytes over and over, as fast as they are taken. */
function flood(socket, head, block, mostBytes = Infinity) {
  let sent = 0;
  const more = () => {
    while (sent < mostBytes) {
      sent += block.length;
      if (!socket.write(block)) return socket.once('drain', more);
    }
    socket.end();
  };
  socket.write(head);
  more();
}

const answer = (status, body, more = '') => `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\n${more}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const refusal = (status, code, message) => answer(`${status} No`, JSON.stringify({ error: { code, message, field: '\u001b[2Jfield', retryable: true, context: { sessionId: 'another' } } }));
const fileAt = (path) => answer('200 OK', JSON.stringify({ path, name: 'forged', type: 'file', sizeBytes: 1, mode: 420, modifiedAt: '2026-01-01T00:00:00.000Z' }));
const chunked = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n';
const chunk = (text) => Buffer.from(`${text.length.toString(16)}\r\n${text}\r\n`);
const switched = (protocol) => `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\n\r\n`;

function frame(type, length, payload = '') {
  const head = Buffer.alloc(5);
  head.writeUInt8(type, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, Buffer.from(payload)]);
}
const signIn = JSON.stringify({ code: 'unauthorized', message: 'sign in again' });
const attach = (...frames) => (socket) => socket.end(Buffer.concat([Buffer.from(switched('berth-process')), ...frames]));

/** By what a request names. */
const answers = {
  silence() {},
  hang_up: (socket) => socket.destroy(),
  garbage: (socket) => socket.end(Buffer.alloc(64 * kibibyte, '\x16\x03\x01\xff')),
  older_protocol: (socket) => socket.end('ICY 200 OK\r\n\r\n{}'),
  newer_protocol: (socket) => socket.end('HTTP/3.0 200 OK\r\ncontent-length: 2\r\n\r\n{}'),
  http2: (socket) => socket.end(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.alloc(9)])),
  endless_head: (socket) => flood(socket, 'HTTP/1.1 200 OK\r\n', Buffer.from(`x: ${'a'.repeat(64)}\r\n`.repeat(1000))),
  endless_answer: (socket) => flood(socket, chunked, chunk(`"${'a'.repeat(64 * kibibyte)}"`)),
  endless_error: (socket) => flood(socket, chunked.replace('200 OK', '500 No'), chunk('a'.repeat(64 * kibibyte))),
  endless_continue: (socket) => flood(socket, '', Buffer.from('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'.repeat(500))),
  two_lengths: (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}'),
  length_and_chunks: (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'),
  cut_short: (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n{"path":'),
  not_json: (socket) => socket.end(answer('200 OK', '<html>')),
  ill_typed: (socket) => socket.end(answer('200 OK', '{"path":{"__proto__":{"admin":true}},"sizeBytes":"1"}')),
  nested: (socket) => socket.end(answer('200 OK', '['.repeat(4 * mebibyte))),
  redirect: (socket) => socket.end(answer('302 Found', '{}', 'location: http://127.0.0.1/api/sessions\r\n')),
  switch_unasked: (socket) => socket.end(switched('tcp')),
  // The second is to nothing that was asked: whoever asks next on this connection must not take it for his.
  two_answers: (socket) => socket.write(fileAt('/home/user/first') + fileAt('/home/user/second') + fileAt('/home/user/third')),
  sign_out: (socket) => socket.end(refusal(401, 'unauthorized', 'sign in again')),
  ask_for_money: (socket) => socket.end(refusal(402, 'budget_reached', 'pay')),
  blame_berth: (socket) => socket.end(refusal(500, 'internal', 'an internal error occurred')),
  unknown_code: (socket) => socket.end(refusal(418, 'teapot', 'x'.repeat(30_000))),
  terminal: (socket) => socket.end(refusal(404, 'not_found', '\u001b]0;owned\u0007\u001b[2J\u202egnp.exe')),
};

/** Of a process's input and output. */
const processes = {
  frame_too_long: attach(frame(1, 0xffff_ffff, 'x')),
  frame_unknown: attach(frame(99, 1, 'x')),
  frame_of_input: attach(frame(0, 1, 'x')),
  error_of_account: attach(frame(6, signIn.length, signIn)),
  frame_cut: attach(frame(1, 1000, 'x')),
  exit_ill_formed: attach(frame(3, 9, '{"exit":1')),
  frames_endless: (socket) => flood(socket, switched('berth-process'), frame(1, 32 * kibibyte, 'y'.repeat(32 * kibibyte))),
  other_upgrade: (socket) => socket.end(switched('websocket')),
  no_upgrade: (socket) => socket.end(answer('200 OK', '{}')),
};

/** RFC 9113, 4.1. */
function http2Frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
const repeat = (count, of) => Buffer.concat(Array.from({ length: count }, (_, index) => of(index)));
const hello = Buffer.concat([Buffer.from(`${switched('berth-gateway')}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`), http2Frame(4, 0, 0)]);
const [data, headers, reset, settings, ping, continuation] = [0, 1, 3, 4, 6, 9];
/** A header without Huffman coding or table: RFC 7541, 6.2.2. */
const field = (name, value) => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);
const ask = (method, authority) => Buffer.concat([field(':method', method), field(':authority', authority)]);
const most = 16 * mebibyte;

/** Of the gateway's channel, in which the runner is the one that asks. */
const channels = {
  channel_garbage: (socket) => socket.end(Buffer.concat([Buffer.from(switched('berth-gateway')), Buffer.alloc(64 * kibibyte, 7)])),
  channel_other_upgrade: (socket) => socket.end(switched('berth-gateway/2')),
  channel_too_long: (socket) => flood(socket, hello, http2Frame(data, 0, 1, Buffer.alloc(mebibyte)), most),
  channel_settings: (socket) => flood(socket, hello, repeat(1000, () => http2Frame(settings, 0, 0)), most),
  channel_pings: (socket) => flood(socket, hello, repeat(1000, () => http2Frame(ping, 0, 0, Buffer.alloc(8))), most),
  channel_never_opened: (socket) => flood(socket, hello, repeat(100, (index) => http2Frame(data, 0, 2 * index + 1001, Buffer.alloc(100))), most),
  channel_resets: (socket) => socket.write(Buffer.concat([hello, repeat(20_000, (index) => Buffer.concat([http2Frame(headers, 4, 2 * index + 1, ask('CONNECT', 'gateway')), http2Frame(reset, 0, 2 * index + 1, Buffer.alloc(4))]))])),
  channel_continued: (socket) => flood(socket, Buffer.concat([hello, http2Frame(headers, 0, 1, ask('CONNECT', 'gateway'))]), http2Frame(continuation, 0, 1, Buffer.alloc(16_000, 0x40)), most),
};

/** A journal with entries of others' turns: `journal_of TURN SESSION`. */
function journalOf(socket, request, [otherTurn, otherSession]) {
  const from = Number(/[?&]from=(\d+)/.exec(request)?.[1] ?? 0);
  const at = new Date().toISOString();
  const entry = (index, turnId, type, body) => `${JSON.stringify({ seq: from + index, at, turnId, type, data: body, sessionId: otherSession })}\n`;
  const said = { update: { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: 'forged by a neighbour' } } };
  const lines = [
    `${JSON.stringify({ journalId: 'forged', lastSeq: from + 4 })}\n`,
    entry(1, otherTurn, 'turn.started', {}),
    entry(2, otherTurn, 'agent.update', said),
    entry(3, otherTurn, 'turn.ended', { outcome: 'completed', stopReason: 'end_turn', usage: { totalTokens: 1e15 }, error: null }),
    entry(4, otherTurn, 'permission.resolved', { requestId: 'any', outcome: 'selected', optionId: 'allow', by: 'owner' }),
    // At last one that no journal has: the reader gives up.
    entry(1, otherTurn, 'turn.started', {}),
  ];
  socket.end(`${chunked}${lines.map((line) => chunk(line)).join('')}0\r\n\r\n`);
}

const journals = { journal_of: journalOf };

function takeOver(socket, runner, name, attack) {
  runner.unpipe(socket);
  runner.destroy();
  tell(name);
  socket.on('close', () => tell(`${name} closed`));
  socket.removeAllListeners('data');
  socket.resume();
  attack();
}

const channelSockets = new Set();

function serve(socket) {
  socket.on('error', () => {});
  const runner = connect(runnerPort, '127.0.0.1');
  runner.on('error', () => socket.destroy());
  runner.pipe(socket);
  socket.on('close', () => runner.destroy());
  socket.on('end', () => runner.end());
  socket.on('data', (bytes) => {
    const text = bytes.toString('latin1');
    const path = /^GET (\S+) HTTP/.exec(text)?.[1] ?? '';
    const isChannel = path.startsWith('/gateway');
    if (isChannel) channelSockets.add(socket.on('close', () => channelSockets.delete(socket)));
    const streams = isChannel ? channels : /^\/processes\/[^/]+\/attach\b/.test(path) ? processes : /\/journal\?/.test(path) ? journals : null;
    if (streams === null) {
      const named = /hostile%2F([a-z0-9_]+)/i.exec(path)?.[1] ?? '';
      if (named in answers) return takeOver(socket, runner, named, () => answers[named](socket));
    } else {
      const [order, ...words] = orders().split(' ');
      if (order in streams) return takeOver(socket, runner, order, () => streams[order](socket, text, words));
    }
    if (!runner.write(bytes)) {
      socket.pause();
      runner.once('drain', () => socket.resume());
    }
  });
}

// A new order about the channel takes effect on a new channel.
let last = orders();
setInterval(() => {
  const now = orders();
  if (now !== last) for (const socket of channelSockets) socket.destroy();
  last = now;
}, 20);

unlinkSync(socketPath);
createServer(serve).listen(socketPath, () => tell('listening'));
