import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { runTurn } from '../../e2e/scripted.ts';
import type { Range } from '../range.ts';

/** Stands where the model's API does, and keeps what came. */
export interface Upstream {
  url: string;
  seen: { path: string; key: string | undefined }[];
  close(): void;
}

export const modelKey = 'sk-the-real-key-of-the-installation';

export async function openUpstream(): Promise<Upstream> {
  const seen: Upstream['seen'] = [];
  const server: Server = createServer((request, response) => {
    seen.push({ path: request.url ?? '', key: request.headers['x-api-key']?.toString() });
    request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, close: () => void server.close() };
}

export function gatewayCases(range: () => Range, upstream: () => Upstream): void {
  const placeholderOf = async (session: string) => (await runTurn(range().client, session, 'env ANTHROPIC_API_KEY')).text.match(/sk-berth-[\w-]+/)?.[0] ?? '';

  test("only a session's own placeholder, only the routes of a model, and never the key", async () => {
    const { attacker, bystanders, attack, run } = range();
    const [own, others] = [await placeholderOf(attacker), await placeholderOf(bystanders[0]!)];
    expect(own).not.toBe('');
    expect(others).not.toBe('');
    expect(own).not.toBe(others);
    const post = (target: string, key: string, more = '') => `POST ${target} HTTP/1.1\r\nhost: x\r\nx-api-key: ${key}\r\ncontent-type: application/json\r\n${more}content-length: 2\r\nconnection: close\r\n\r\n{}`;
    const model = '/anthropic/v1/messages';
    const requests: Record<string, [request: string, answer: RegExp]> = {
      'its own': [post(model, own), / 200 /],
      "another session's": [post(model, others), / 401 /],
      none: [post(model, ''), / 401 /],
      'a longer one': [post(model, `${own}x`), / 401 /],
      'two of them': [post(model, others, `x-api-key: ${own}\r\n`), / 40[01] /],
      "another session's in the query": [post(`${model}?key=${others}`, ''), / 401 /],
      dots: [post('/anthropic/v1/../v1/messages', own), / 40[034] /],
      'escaped dots': [post('/anthropic/v1/%2e%2e/admin', own), / 40[034] /],
      'doubled slashes': [post('//anthropic/v1/messages', own), / 40[034] /],
      'an escaped slash': [post('/anthropic/v1%2fmessages', own), / 40[034] /],
      'a route that is not the model': [post('/anthropic/v1/organizations/api_keys', own), / 404 /],
      'files of the account': [post('/anthropic/v1/files', own), / 404 /],
      'another API by its path': [post('/anthropic/../openai/v1/responses', own), / 40[034] /],
      'no API': [post('/admin', own), / 403 /],
      git: [post('/git/github.com/acme/app.git/git-receive-pack', own), / 40[034] /],
      'git with dots': [post('/git/../../etc/passwd', own), / 40[034] /],
      'the whole address': [post(`http://127.0.0.1:8079${model}`, own), / 403 /],
      'a body of a gigabyte': [`POST ${model} HTTP/1.1\r\nhost: x\r\nx-api-key: ${own}\r\ncontent-length: 1073741824\r\n\r\n`, / 413 /],
      'another method': [`DELETE ${model} HTTP/1.1\r\nhost: x\r\nx-api-key: ${own}\r\nconnection: close\r\n\r\n`, / 404 /],
    };
    upstream().seen.length = 0;
    const { out } = await attack('raw.mjs', JSON.stringify(Object.entries(requests).map(([name, [request]]) => [name, request])));
    const answers = JSON.parse(out) as Record<string, string>;
    for (const [name, [, answer]] of Object.entries(requests)) expect(`${name}: ${answers[name]}`).toMatch(answer);
    // What was let through is the one call that is its own, by the only way there is.
    expect(upstream().seen).toEqual([{ path: '/v1/messages', key: modelKey }]);

    const search = `cat /proc/[0-9]*/environ 2>/dev/null | grep -c ${modelKey}; grep -rlF ${modelKey} /home/user /tmp /run /var 2>/dev/null | grep -v -e '^$' | wc -l`;
    // The second figure is the command's own: `sh` has the text in its arguments, no file does.
    expect((await run(attacker, ['sh', '-c', search])).out.trim().split('\n')).toEqual(['0', '0']);
  });

  test("a channel cannot be used up: more connections than it carries, and ones that say nothing, leave the model reachable", async () => {
    const { attacker, attack } = range();
    const own = await placeholderOf(attacker);
    const idle = Array.from({ length: 300 }, (_, index): [string, string] => [`idle ${index}`, 'POST /anth']);
    const hold = `const net = require('node:net'); const all = ${JSON.stringify(idle.map(([name]) => name))}.map(() => net.connect(8079, '127.0.0.1', function () { this.write('POST /anth'); }).on('error', () => {})); setTimeout(() => process.exit(), 1500);`;
    const { exitCode } = await range().run(attacker, ['/berth/runner/bin/node', '-e', hold]);
    expect(exitCode).toBe(0);
    const request = `POST /anthropic/v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: ${own}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}`;
    const { out } = await attack('raw.mjs', JSON.stringify([['after', request]]));
    expect(JSON.parse(out)).toEqual({ after: 'HTTP/1.1 200 OK' });
  });
}
