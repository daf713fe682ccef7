import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { hostEnv, mustRun } from '../src/sandbox/run-command.ts';

/** A repository served over smart HTTP on loopback by git's own CGI program. */
export interface GitRemote {
  url: string;
  objects: number;
  packBytes: number;
  close(): Promise<void>;
}

export interface RepositoryShape {
  files: number;
  commits: number;
  filesPerCommit: number;
  fileBytes: number;
}

const author = 'Bench <bench@localhost> 1700000000 +0000';
const directories = 40;

export async function startGitRemote(dir: string, shape: RepositoryShape): Promise<GitRemote> {
  const path = join(dir, 'repository.git');
  await mustRun('git', ['init', '--quiet', '--bare', '--initial-branch=main', path]);
  await fillRepository(path, shape);
  // As a forge keeps it: one pack, with a bitmap.
  await mustRun('git', ['-C', path, 'repack', '-a', '-d', '-q', '--write-bitmap-index']);
  const counted = await mustRun('git', ['-C', path, 'count-objects', '-v']);
  const count = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(counted)?.[1]);
  const server = serve(path);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/repository.git`,
    objects: count('in-pack'),
    packBytes: count('size-pack') * 1024,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Random content, which neither compression nor deltas make smaller. */
async function fillRepository(path: string, shape: RepositoryShape): Promise<void> {
  const child = spawn('git', ['-C', path, 'fast-import', '--quiet'], {
    env: hostEnv,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const exited = once(child, 'exit');
  const content = Buffer.alloc(shape.fileBytes);
  const write = async (data: string | Buffer) => {
    if (!child.stdin.write(data)) await once(child.stdin, 'drain');
  };
  let next = 0;
  for (let commit = 0; commit <= shape.commits; commit++) {
    const message = `commit ${commit}\n`;
    await write(`commit refs/heads/main\ncommitter ${author}\ndata ${message.length}\n${message}`);
    for (let i = 0; i < (commit === 0 ? shape.files : shape.filesPerCommit); i++) {
      const file = next++ % shape.files;
      await write(`M 644 inline d${file % directories}/f${file}\ndata ${content.length}\n`);
      await write(Buffer.from(randomFillSync(content)));
      await write('\n');
    }
    await write('\n');
  }
  child.stdin.end();
  const [code] = (await exited) as [number | null];
  if (code !== 0) throw new Error(`git fast-import ended with ${code}`);
}

function serve(path: string) {
  return createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const child = spawn('git', ['http-backend'], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: {
        ...hostEnv,
        GIT_PROJECT_ROOT: path,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: url.pathname.replace('/repository.git', ''),
        REQUEST_METHOD: request.method,
        QUERY_STRING: url.search.slice(1),
        CONTENT_TYPE: request.headers['content-type'],
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'],
        GIT_PROTOCOL: request.headers['git-protocol']?.toString(),
        REMOTE_ADDR: '127.0.0.1',
      },
    });
    request.pipe(child.stdin);
    child.stdin.on('error', () => {});
    response.on('close', () => child.kill());
    let head = Buffer.alloc(0);
    child.stdout.on('data', function onHead(chunk: Buffer) {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      child.stdout.off('data', onHead);
      for (const line of head.subarray(0, end).toString().split('\r\n')) {
        const [name = '', value = ''] = line.split(/: (.*)/s);
        if (name.toLowerCase() === 'status') response.statusCode = Number.parseInt(value, 10);
        else response.setHeader(name, value);
      }
      response.write(head.subarray(end + 4));
      child.stdout.pipe(response);
    });
  });
}
