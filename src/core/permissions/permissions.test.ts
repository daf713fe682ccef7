import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { permissionPolicy, type PermissionRule } from '../../protocol/permission-policy.ts';
import { createSqliteStore } from '../../store/sqlite.ts';
import { createCore, type Core } from '../create-core.ts';
import type { Store } from '../ports/store.ts';
import { createWorld, type World } from '../testing/doubles.ts';
import { defaultPermissionPolicy } from './default-policy.ts';
import { judgeRequest } from './judge-request.ts';
import { fitsPattern } from './patterns.ts';
import { parseArgv, parseCommand } from './shell-command.ts';
import { readToolRequest } from './tool-request.ts';

const cwd = '/home/user/work';
const judge = (rules: readonly PermissionRule[], toolCall: Record<string, unknown>) => judgeRequest(rules, readToolRequest(toolCall, cwd)).answer;
const run = (command: unknown) => ({ toolCallId: 't', kind: 'execute', rawInput: { command } });
const byDefault = (toolCall: Record<string, unknown>) => judge(defaultPermissionPolicy.rules, toolCall);
const allowAll: PermissionRule = { name: 'all', answer: 'allow' };

describe('patterns', () => {
  test.each([
    ['a*c', 'abc', true],
    ['a*c', 'a/c', false],
    ['**', '/a/b', true],
    ['/a/**/b', '/a/b', true],
    ['/a/**/b', '/a/x/y/b', true],
    ['/a/**', '/a', false],
    ['/a/*', '/a/b/c', false],
    ['a.c', 'abc', false],
  ])('%s and %s: %s', (pattern, text, fits) => expect(fitsPattern(pattern, text, '/')).toBe(fits));

  test('are looked at in time, whatever they and the text are', () => {
    expect(fitsPattern('*a'.repeat(100), 'a'.repeat(4096) + 'b')).toBe(false);
    fc.assert(fc.property(fc.string({ maxLength: 40 }), (text) => fitsPattern(text.replaceAll('*', 'x'), text.replaceAll('*', 'x'), '/')));
  });
});

describe('command lines', () => {
  test.each<[string, string[][]]>([
    ['npm test', [['npm', 'test']]],
    ["git commit -m 'two words' && ls -la | head -5; true", [['git', 'commit', '-m', 'two words'], ['ls', '-la'], ['head', '-5'], ['true']]],
    ['cd sub && make "all of it" 2>&1', [['cd', 'sub'], ['make', 'all of it']]],
    ['ls src/*.ts > out.txt', [['ls', 'src/*.ts']]],
    ['a\\ b c\nd', [['a b', 'c'], ['d']]],
  ])('%s', (text, words) => expect(parseCommand(text)?.map((part) => part.words)).toEqual(words));

  test.each([
    '', '   ', '&& ls', 'ls &&', 'ls |', 'ls &', 'ls;;ls', 'echo $(id)', 'echo `id`', 'echo $HOME', 'echo "$HOME"', '(ls)', '{ ls; }', '! ls', 'ls <<EOF', 'ls <(id)',
    'PATH=x ls', '"unclosed', "'unclosed", 'ls\\', 'ls\\\nrm', 'l* x', '*', 'rm *', 'rm -*', 'a{b,c}', 'echo [a]', 'ls # comment', 'bash -c "ls"', '/bin/sh x.sh', 'env ls',
    'xargs rm', 'sudo ls', 'eval ls', '. ./x', 'exec ls', 'find . -exec rm x \\;', 'find . -delete', 'python3 -c "x"', 'node -e x', 'perl -ex', 'awk x', 'sed -i x y',
    'ls; cd /; rm x', 'cd a || rm b', 'cd a; rm b', 'cd ~', 'cd -', 'ls\u00a0-la', 'ls\u2028rm', 'ls\rrm', 'ls \u0000', '~root/x', 'if true', 'time ls', 'ls |& cat', 'ls > a*', 'ls 3> x', "echo 'a\nb'",
    'x'.repeat(10_001),
  ])('not understood: %j', (text) => expect(parseCommand(text)).toBeNull());

  test('what is understood has none of the characters that a shell gives a meaning outside quotes', () => {
    const pieces = fc.constantFrom('a', 'git', ' ', '&&', '||', ';', '|', '&', '$', '`', '(', ')', '"', "'", '\\', '\n', '>', '<', '*', '?', '{', '}', '~', '#', '!', '=', '-', 'cd', 'sh', '\t', '\r', '\0', '[', ']');
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (made) => {
        const parts = parseCommand(made.join(''));
        if (parts === null) return;
        const outside = made.join('').replace(/\\./g, '').replace(/'[^']*'|"[^"]*"/g, '');
        expect(outside).not.toMatch(/[$`(){}!#[\]\r\0]/);
        for (const { words } of parts) expect(['sh', '']).not.toContain(words[0]);
      }),
      { numRuns: 2000 },
    );
  });

  test('nothing makes the parser fail', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => void parseCommand(text)), { numRuns: 500 });
    fc.assert(fc.property(fc.array(fc.string()), (argv) => void parseArgv(argv)));
  });

  test('a list of words is one program, and a shell in it is looked into', () => {
    expect(parseArgv(['bash', '-lc', 'npm test && ls'])?.map(({ words }) => words[0])).toEqual(['npm', 'ls']);
    expect(parseArgv(['git', 'commit', '-m', 'a; b'])?.[0]?.words).toHaveLength(4);
    expect(parseArgv(['bash', 'x.sh'])).toBeNull();
    expect(parseArgv(['bash', '-c', 'ls', 'more'])).toBeNull();
  });
});

describe('rules', () => {
  const rules: PermissionRule[] = [
    { name: 'tests', answer: 'allow', commands: ['npm test *', 'npm test', 'ls *'] },
    { name: 'no-push', answer: 'deny', commands: ['git push'] },
    { name: 'docs', answer: 'allow', kinds: ['edit'], paths: ['docs/**'] },
    { name: 'mcp', answer: 'deny', tools: ['mcp__github__*'] },
  ];

  test.each([
    ['npm test', 'allow'],
    ['npm test -- --watch=false', 'allow'],
    ['npm test && ls -la', 'allow'],
    ['npm test && npm run x', 'ask'],
    ['npm test > ../../out', 'ask'],
    ['npm test > out 2> /dev/null', 'allow'],
    ['cd / && npm test > out', 'ask'],
    ['npm test; $(git push)', 'ask'],
    ['npm testing', 'ask'],
    ['/tmp/npm test', 'ask'],
    ['npm test | git push origin main', 'deny'],
    ['/usr/bin/git -C x --no-pager push', 'deny'],
    ['git status', 'ask'],
  ])('%s: %s', (command, answer) => expect(judge(rules, run(command))).toBe(answer));

  test.each([
    [{ kind: 'edit', locations: [{ path: `${cwd}/docs/a.md` }] }, 'allow'],
    [{ kind: 'edit', locations: [{ path: `${cwd}/docs/../src/a.ts` }] }, 'ask'],
    [{ kind: 'edit', locations: [{ path: 'docs/a.md' }, { path: 'src/a.ts' }] }, 'ask'],
    [{ kind: 'edit', locations: [{ path: 'docs/a.md' }], rawInput: { file_path: '/etc/passwd' } }, 'ask'],
    [{ kind: 'edit', locations: 'docs/a.md' }, 'ask'],
    [{ kind: 'edit' }, 'ask'],
    // Whatever it calls itself, it runs something.
    [{ kind: 'edit', locations: [{ path: 'docs/a.md' }], rawInput: { command: 'git push' } }, 'deny'],
    [{ title: 'mcp__github__create_issue' }, 'deny'],
    [{ title: 'x', _meta: { claudeCode: { toolName: 'mcp__github__create_issue' } } }, 'deny'],
  ])('%j: %s', (toolCall, answer) => expect(judge(rules, { toolCallId: 't', ...toolCall })).toBe(answer));

  test('one that denies beats all before it; else the first; what none is about is asked', () => {
    const deny: PermissionRule = { name: 'never', answer: 'deny', kinds: ['fetch'] };
    expect(judge([allowAll, deny], { toolCallId: 't', kind: 'fetch' })).toBe('deny');
    expect(judge([{ ...allowAll, answer: 'ask' }, allowAll], { toolCallId: 't', kind: 'read' })).toBe('ask');
    expect(judge([], { toolCallId: 't', kind: 'read' })).toBe('ask');
    expect(judge([allowAll], run('ls $(id)'))).toBe('ask');
    expect(judge([allowAll], { toolCallId: 't', kind: 'execute' })).toBe('ask');
  });

  test('no request makes the judge fail, and none that is not understood is allowed', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('kind', 'title', 'locations', 'rawInput', '_meta', 'x'), fc.anything()), (toolCall) => {
        expect(['allow', 'ask']).toContain(judge([allowAll], toolCall));
      }),
    );
  });

  test('a document with a field that is not known is refused', () => {
    expect(permissionPolicy.safeParse({ rules: [{ name: 'a', answer: 'allow', comands: ['x'] }] }).success).toBe(false);
    expect(permissionPolicy.safeParse({ rules: [{ name: 'a', answer: 'maybe' }] }).success).toBe(false);
    expect(permissionPolicy.safeParse(defaultPermissionPolicy).success).toBe(true);
  });
});

describe('by default', () => {
  test.each([
    [run('npm test && npm run build'), 'allow'],
    [run('git add -A && git commit -m "x"'), 'allow'],
    [run('git push origin HEAD'), 'ask'],
    [run('npm test && curl https://example.org'), 'ask'],
    [run('/usr/bin/curl -d @x https://example.org'), 'ask'],
    [run('npm publish'), 'ask'],
    [run('bash -c "curl x"'), 'ask'],
    [run('cp x ~/.claude/settings.json'), 'ask'],
    [{ toolCallId: 't', kind: 'edit', locations: [{ path: 'src/a.ts' }] }, 'allow'],
    [{ toolCallId: 't', kind: 'edit', locations: [{ path: '/home/user/.claude/settings.json' }] }, 'ask'],
    [{ toolCallId: 't', kind: 'read', locations: [{ path: '/etc/hosts' }] }, 'allow'],
    [{ toolCallId: 't', kind: 'fetch' }, 'ask'],
    [{ toolCallId: 't', kind: 'switch_mode' }, 'ask'],
    [{ toolCallId: 't', kind: 'other', title: 'mcp__mail__send' }, 'ask'],
  ])('%j: %s', (toolCall, answer) => expect(byDefault(toolCall)).toBe(answer));
});

describe('in a session', () => {
  let store: Store;
  let world: World;
  let core: Core;
  beforeEach(async () => {
    store = await createSqliteStore({ path: ':memory:' });
    world = createWorld(store);
    core = createCore(world.deps);
    await core.start(AbortSignal.timeout(5_000));
  });
  afterEach(async () => {
    await core.close();
    await store.close();
  });

  /** The agent of the doubles asks about a tool of the title `t`, with the options `yes` and `no`. */
  async function asked(change: { permissions?: 'policy' | 'ask'; rules?: PermissionRule[] }): Promise<string> {
    const { permissions = 'policy', rules = [] } = change;
    const { id } = await core.sessions.create({ agent: 'any', permissions, permissionPolicy: { rules } }, 'ada', AbortSignal.timeout(5_000));
    const { turn } = await core.sessions.prompt(id, { prompt: 'p' }, 'ada');
    await expect.poll(() => world.started, { timeout: 10_000 }).toContain(turn.id);
    world.ask(turn.id, 'req');
    await expect.poll(async () => await store.read.permission(id, 'req'), { timeout: 10_000 }).not.toBeNull();
    return id;
  }
  const answeredBy = (id: string) => expect.poll(async () => (await store.read.permission(id, 'req'))?.state, { timeout: 10_000 });

  test('a rule answers, is named, and nobody is asked', async () => {
    const id = await asked({ rules: [{ name: 'fine', answer: 'allow' }] });
    await answeredBy(id).toBe('selected');
    expect(await store.read.permission(id, 'req')).toMatchObject({ optionId: 'yes', answeredBy: 'policy:fine' });
    const events = await store.read.events(id, 0, 100);
    expect(events.find(({ type }) => type === 'permission.requested')?.data).toMatchObject({ answeredBy: 'policy:fine' });
    expect(events.filter(({ type, data }) => type === 'session.status' && (data as { status: string }).status === 'asking')).toEqual([]);
    const audit = await store.read.audit({ sessionId: id, action: 'permission.answered', order: 'oldest', limit: 10 });
    expect(audit).toMatchObject([{ actor: 'policy:fine', target: 'req', detail: { optionKind: 'allow_once' } }]);
  });

  test('one that denies refuses once', async () => {
    const id = await asked({ rules: [{ name: 'all', answer: 'allow' }, { name: 'never', answer: 'deny' }] });
    await answeredBy(id).toBe('selected');
    expect(await store.read.permission(id, 'req')).toMatchObject({ optionId: 'no', answeredBy: 'policy:never' });
  });

  test('what no rule is about waits for a person, and so does all in the mode `ask`', async () => {
    const unknown = await asked({ rules: [{ name: 'other', answer: 'allow', tools: ['else'] }] });
    const always = await asked({ permissions: 'ask', rules: [{ name: 'fine', answer: 'allow' }] });
    for (const id of [unknown, always]) {
      expect(await store.read.permission(id, 'req')).toMatchObject({ state: 'open', answeredBy: null });
      expect((await core.sessions.get(id)).status).toBe('asking');
      await core.sessions.answerPermission(id, 'req', 'yes', 'ada');
      await answeredBy(id).toBe('selected');
    }
  });

  test('its rules can be seen, with where they are from, and set', async () => {
    const id = await asked({ rules: [{ name: 'else', answer: 'ask' }] });
    const set = await core.sessions.setPermissionPolicy(id, { policy: { rules: [{ name: 'mine', answer: 'deny' }] }, mode: 'policy' }, 'ada');
    expect(set.rules[0]).toEqual({ name: 'mine', answer: 'deny', from: 'session' });
    expect(set.rules.at(-1)).toMatchObject({ name: 'default.inside', from: 'server' });
    const [told] = await store.read.audit({ sessionId: id, action: 'permission.policy_set', order: 'newest', limit: 1 });
    expect(told).toMatchObject({ actor: 'user:ada', detail: { mode: 'policy', rules: ['deny mine'] } });
    expect(await core.sessions.setPermissionPolicy(id, { policy: null }, 'ada')).toMatchObject({ own: null });
  });
});
