import { afterAll, beforeAll } from 'vitest';
import { sandboxFailureSuite } from '../../../../test/conformance/sandbox-failures.ts';
import { sandboxNetworkSuite } from '../../../../test/conformance/sandbox-network.ts';
import { sandboxPersistenceSuite } from '../../../../test/conformance/sandbox-persistence.ts';
import { sandboxProviderSuite } from '../../../../test/conformance/sandbox-provider.ts';
import type { TestEngine } from '../../../../test/fixtures/engine-process.ts';
import { openHarness } from './docker.fixture.ts';
import type { DockerOptions } from './docker.ts';

export interface EngineKind extends Partial<DockerOptions> {
  /** It is one program: what starts another in namespaces of its own leaves that when it is killed. */
  killable?: boolean;
}

/** All suites on one engine, and those about what fails on another of the kind. What it returns is for when tests run. */
export function dockerSuites(name: string, start: (parent?: string) => Promise<TestEngine>, { killable = true, ...more }: EngineKind = {}): () => TestEngine {
  let engine: TestEngine;
  const open = () => openHarness(engine, more);

  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine?.stop());

  sandboxProviderSuite(name, open);
  sandboxPersistenceSuite(name, open);
  sandboxNetworkSuite(name, open);
  sandboxFailureSuite(name, async (directory) => {
    const own = await start(directory);
    const opened = await openHarness(own, more, directory);
    const cleanup = async () => {
      await opened.cleanup();
      await own.stop();
    };
    return { ...opened, ...(killable ? { backend: { kill: () => own.kill(), start: () => own.restart() } } : {}), cleanup };
  });
  return () => engine;
}
