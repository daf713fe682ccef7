import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TemplateWorkshop } from '../../core/ports/templates.ts';
import { assemble } from './assemble.ts';
import { parsePlace } from './place.ts';
import { readEnv } from './sources/image.ts';
import { createTemplates } from './template.ts';
import { createWorkshop } from './workshop.ts';

/** In memory: what a build writes is synced, and for a busy disk that takes long. */
const memoryDir = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
let outer: string;
let directory: string;
let workshop: TemplateWorkshop;
let said: string[];

beforeEach(() => {
  outer = mkdtempSync(join(memoryDir, 'berth-workshop-'));
  directory = join(outer, 'templates');
  said = [];
  workshop = createWorkshop({ directory, environment: {}, limits: { maxBytes: 1024 ** 2 }, now: () => new Date('2026-01-01T00:00:00Z') });
});
afterEach(() => rmSync(outer, { recursive: true }));

const job = (signal = AbortSignal.timeout(50_000)) => ({ say: (text: string) => void said.push(text), signal });

function archive(files: Record<string, string>, name = 'root'): string {
  const root = join(outer, name);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  const path = join(outer, `${name}.tar`);
  execFileSync('tar', ['--create', '--sort=name', '--mtime=@0', '--file', path, '--directory', root, '.']);
  return path;
}

describe('a template of a tar archive', () => {
  test('has mount points, a user and what the archive has; the same archive is the same version', async () => {
    const from = archive({ 'etc/passwd': 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n', 'bin/tool': 'tool' });
    const version = await workshop.build('own', from, job());
    expect(await workshop.get('own')).toBeNull();
    await workshop.publish('own', version);
    const template = await createTemplates(directory).current('own');
    expect(template).toMatchObject({ name: 'own', version, binds: [], env: {} });
    const read = (path: string) => readFileSync(join(template.rootfs, path), 'utf8');
    expect(read('etc/passwd').split('\n').slice(0, 2)).toEqual(['user:x:1000:1000::/home/user:/bin/sh', 'root:x:0:0::/root:/bin/sh']);
    expect(read('etc/passwd')).toContain('node:x:1000');
    expect(read('etc/group')).toContain('user:x:1000:');
    for (const path of ['proc', 'dev', 'berth/runner', 'home/user']) expect(statSync(join(template.rootfs, path)).isDirectory()).toBe(true);
    expect(lstatSync(join(template.rootfs, 'tmp')).mode & 0o7777).toBe(0o1777);
    expect(said.join('\n')).toContain('no git');

    const layers = (await workshop.get('own'))!.layers;
    const layer = join(directory, '.layers', layers[0]!, 'tree');
    // A file is there once; what was changed for the template is not changed in its layer.
    expect(statSync(join(layer, 'bin/tool')).ino).toBe(statSync(join(template.rootfs, 'bin/tool')).ino);
    expect(readFileSync(join(layer, 'etc/passwd'), 'utf8')).not.toContain('user:');
    expect(await workshop.build('own', from, job())).toBe(version);
    expect(readdirSync(join(directory, '.work'))).toEqual([]);
  });

  test('versions stay while the template is used, layers while a version has them', async () => {
    const first = await workshop.build('own', archive({ a: '1' }, 'first'), job());
    await workshop.publish('own', first);
    const second = await workshop.build('own', archive({ a: '2' }, 'second'), job());
    await workshop.publish('own', second);
    await workshop.purge(() => true);
    expect((await workshop.get('own'))!.versions).toEqual([first, second].toSorted());
    expect(await createTemplates(directory).version('own', first)).toMatchObject({ version: first });
    await workshop.purge(() => false);
    expect((await workshop.get('own'))!.versions).toEqual([second]);
    expect(readdirSync(join(directory, '.layers'))).toEqual((await workshop.get('own'))!.layers);

    // Hidden it is nobody's, and there again after a restart; forgotten it is gone.
    await workshop.hide('own');
    expect(await workshop.get('own')).toBeNull();
    await workshop.purge(() => false);
    await workshop.recover();
    expect(await workshop.get('own')).toMatchObject({ version: second });
    await workshop.hide('own');
    await workshop.forget('own');
    await workshop.purge(() => false);
    expect(existsSync(join(directory, 'own'))).toBe(false);
    expect(readdirSync(join(directory, '.layers'))).toEqual([]);
  });

  test('a failure leaves nothing, and neither does a process that ended in the middle', async () => {
    const refused: [string, object][] = [
      [archive({ big: 'x'.repeat(2 * 1024 ** 2) }, 'big'), { code: 'resource_exhausted' }],
      [join(outer, 'nowhere'), { code: 'invalid_request', field: 'from' }],
      ['/dev/null', { code: 'invalid_request', field: 'from' }],
    ];
    symlinkSync('/root', join(mkdtempSync(join(outer, 'link-')), 'tmp'));
    refused.push([join(outer, readdirSync(outer).find((name) => name.startsWith('link-'))!), { code: 'invalid_request', field: 'from' }]);
    for (const [from, error] of refused) await expect(workshop.build('own', from, job())).rejects.toMatchObject(error);
    await expect(workshop.build('default', archive({ a: '' }), job())).rejects.toMatchObject({ code: 'invalid_request', field: 'name' });
    await expect(workshop.build('own', archive({ a: '' }), job(AbortSignal.abort(new Error('enough'))))).rejects.toThrow('enough');
    expect(readdirSync(join(directory, '.work'))).toEqual([]);
    expect(existsSync(join(directory, 'own'))).toBe(false);
    expect(existsSync(join(directory, '.layers'))).toBe(false);
    mkdirSync(join(directory, '.work/job-dead/version'), { recursive: true });
    await workshop.recover();
    expect(existsSync(join(directory, '.work'))).toBe(false);
  });

  test('the one of this machine can neither be pushed nor removed', async () => {
    expect(await workshop.list()).toMatchObject([{ name: 'default', version: null }]);
    await expect(workshop.push('default', `oci-archive:${outer}/x`, job())).rejects.toMatchObject({ code: 'unsupported' });
  });
});

test('an upper layer takes away from the lower, and not through its links', () => {
  const layer = (name: string, files: Record<string, string>, more: object = {}) => {
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(join(outer, name, path, '..'), { recursive: true });
      writeFileSync(join(outer, name, path), content);
    }
    return { tree: join(outer, name), removed: [], emptied: [], implied: new Set<string>(), ...more };
  };
  writeFileSync(join(outer, 'host'), 'of the host');
  const lower = layer('lower', { 'a/one': '1', 'b/two': '2', 'c/three': '3', 'd': 'file' });
  symlinkSync('..', join(outer, 'lower/up'));
  const upper = layer('upper', { 'b/new': 'n', 'd/now': 'directory' }, { removed: ['a/one', 'c', 'up/host', 'nothing/here'], emptied: ['b', 'up'] });
  const root = join(outer, 'assembled');
  assemble([lower, upper], root);
  const names = ['', 'a', 'b', 'd'].flatMap((path) => readdirSync(join(root, path)).map((name) => join(path, name)));
  expect(names.toSorted()).toEqual(['a', 'b', 'b/new', 'd', 'd/now', 'up']);
  expect(readFileSync(join(outer, 'host'), 'utf8')).toBe('of the host');
  expect(readdirSync(join(outer, 'lower/b'))).toEqual(['two']);
});

test.each([
  ['alpine:3', { kind: 'image', reference: 'docker://alpine:3', path: null }],
  ['docker://ghcr.io/acme/dev@sha256:'.concat('a'.repeat(64)), { kind: 'image', path: null }],
  ['localhost:5000/dev', { kind: 'image', reference: 'docker://localhost:5000/dev' }],
  ['oci-archive:/srv/a.tar:tag', { kind: 'image', reference: 'oci-archive:/srv/a.tar:tag', path: '/srv/a.tar' }],
  ['/srv/root.tar.gz', { kind: 'path', path: '/srv/root.tar.gz' }],
  ['suite:bookworm', { kind: 'suite', suite: 'bookworm', mirror: null }],
  ['suite:noble@http://mirror.example/ubuntu', { kind: 'suite', suite: 'noble', mirror: 'http://mirror.example/ubuntu' }],
])('%s is a place', (text, place) => {
  expect(parsePlace(text, 'from')).toMatchObject(place);
});

test.each(['', '-x', '--help', 'oci:relative', 'suite:--x', 'suite:x y', 'suite:bookworm@file:///etc', 'Alpine', 'docker://-x', 'a b', 'ostree:/x'])(
  '%j is no place',
  (text) => {
    expect(() => parsePlace(text, 'to')).toThrow(expect.objectContaining({ code: 'invalid_request', field: 'to' }));
  },
);

test('an image decides nothing that is not its own', () => {
  const env = readEnv(['PATH=/go/bin:/bin', 'GOPATH=/go', 'A=b=c', 'LD_PRELOAD=/x', 'NODE_OPTIONS=--require /x', 'HOME=/root', 'https_proxy=http://x', 'BERTH_X=1', 'no value', '1=2']);
  expect(env).toEqual({ PATH: '/home/user/.local/bin:/go/bin:/bin', GOPATH: '/go', A: 'b=c' });
});
