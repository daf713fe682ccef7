import { describe, expect, test } from 'vitest';
import type { LaunchContext } from '../core/ports/agent.ts';
import { createAgentCatalog } from './catalog.ts';

const catalog = createAgentCatalog();
const context: LaunchContext = {
  layerPath: '/berth/agents/x-1',
  nodePath: '/berth/runner/node',
  home: '/home/user',
  cwd: '/home/user/repo "quoted"',
  gatewayUrl: 'http://127.0.0.1:8079',
  placeholderKey: 'sk-berth-placeholder',
  model: null,
  permissions: 'ask',
};

test('an unknown agent is refused with the field and the known ones', () => {
  expect(() => catalog.get('cursor')).toThrow(
    expect.objectContaining({
      code: 'unknown_agent',
      field: 'agent',
      context: { known: ['claude', 'codex', 'gemini', 'opencode', 'shell'] },
    }),
  );
});

describe.each(catalog.list().map((agent) => [agent.name, agent] as const))('%s', (_name, agent) => {
  const launch = agent.launch(context);

  test('is pure and pinned', () => {
    expect(agent.launch(context)).toEqual(launch);
    for (const { version } of agent.packages) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test('reaches its model by the gateway with the placeholder, kept out of argv and files', () => {
    const everything = JSON.stringify([launch.argv, launch.env, launch.files]);
    if (agent.model !== 'none') {
      expect(Object.values(launch.env)).toContain(context.placeholderKey);
      expect(everything).toContain(`${context.gatewayUrl}/${agent.model}`);
    }
    expect(JSON.stringify([launch.argv, launch.files])).not.toContain(context.placeholderKey);
  });

  test('sets the model that was asked for', () => {
    if (agent.model === 'none') return;
    const { argv, env, files } = agent.launch({ ...context, model: 'some-model' });
    expect(JSON.stringify([argv, env, files])).toContain('some-model');
  });

  test('has no empty variable and writes to HOME alone', () => {
    expect(Object.values(launch.env)).not.toContain('');
    for (const { path } of launch.files) expect(path.startsWith('/home/user/.')).toBe(true);
  });
});

test('a custom agent keeps its command line', () => {
  const { argv, env } = catalog.custom('mine', ['/opt/agent', '--acp']).launch(context);
  expect(argv).toEqual(['/opt/agent', '--acp']);
  expect(env['OPENAI_BASE_URL']).toBe('http://127.0.0.1:8079/openai/v1');
  expect(() => catalog.custom('mine', [])).toThrow(
    expect.objectContaining({ code: 'invalid_request', field: 'agentCommand' }),
  );
});
