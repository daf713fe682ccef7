// Asks for one thing many times, one after the other, and prints how long each took in milliseconds. The same program runs
// in a sandbox and beside it. Plain JavaScript: a sandbox has Node and no more.
import { Agent, request } from 'node:http';
import { connect } from 'node:net';

const { host, port, path, headers, tunnelTo, fresh, warmUp, rounds } = JSON.parse(process.argv[2]);

function open() {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      if (tunnelTo === null) return resolve(socket);
      socket.write(`CONNECT ${tunnelTo} HTTP/1.1\r\nhost: ${tunnelTo}\r\n\r\n`);
      socket.once('data', (head) => (head.toString().includes(' 200 ') ? resolve(socket) : reject(new Error(head.toString()))));
    });
  });
}

const agent = new Agent({ keepAlive: !fresh, maxSockets: 1 });
agent.createConnection = (_options, done) => void open().then((socket) => done(null, socket), done);

function ask() {
  return new Promise((resolve, reject) => {
    const asked = request({ host, port, path, method: 'POST', headers, agent }, (response) => {
      if (response.statusCode !== 200) return reject(new Error(`HTTP ${response.statusCode}`));
      response.on('data', () => {}).on('end', resolve).on('error', reject);
    });
    asked.on('error', reject);
    asked.end(JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'y'.repeat(500) }] }));
  });
}

const times = [];
for (let round = -warmUp; round < rounds; round += 1) {
  const startedMs = performance.now();
  await ask();
  if (round >= 0) times.push(performance.now() - startedMs);
}
process.stdout.write(JSON.stringify(times));
process.exit(0);
