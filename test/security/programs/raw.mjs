// Writes bytes to the gateway's port as they are given and says what came back: its first line, or how the connection ended.
//   raw.mjs '[["name", "bytes"], ...]'
import { connect } from 'node:net';

const answers = await Promise.all(
  JSON.parse(process.argv[2]).map(
    ([name, bytes]) =>
      new Promise((resolve) => {
        const socket = connect(8079, '127.0.0.1', () => socket.write(bytes, 'latin1'));
        let text = '';
        socket.setTimeout(20_000, () => socket.destroy(new Error('silent')));
        socket.on('data', (chunk) => {
          text += chunk.toString('latin1');
          // A tunnel that was opened stays open.
          if (text.includes('\r\n\r\n') && !/^connection: close/im.test(text)) socket.destroy();
        });
        socket.on('error', (error) => resolve([name, `error ${error.code ?? error.message}`]));
        socket.on('close', () => resolve([name, text === '' ? 'closed' : text.split('\r\n')[0]]));
      }),
  ),
);
process.stdout.write(JSON.stringify(Object.fromEntries(answers)));
