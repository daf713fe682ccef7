import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const root = resolve(import.meta.dirname, '..');

/** Small files that take long, the longest first. A clean machine knows no times, and would begin with the largest files. */
const slow = [
  'src/sandbox/providers/qemu/qemu.test.ts',
  'test/e2e/qemu.e2e.test.ts',
  'src/sandbox/providers/docker/docker.test.ts',
  'test/e2e/kill.e2e.test.ts',
  'test/e2e/web-first-run.e2e.test.ts',
  'test/e2e/fair-queue.e2e.test.ts',
  'test/e2e/hibernate.e2e.test.ts',
  'src/store/postgres.test.ts',
  'src/github/tasks.test.ts',
  'src/core/turns/queue-run.test.ts',
  'src/cli/cli.test.ts',
  'src/store/kill.test.ts',
  'src/git/git.test.ts',
  'src/store/postgres-servers.test.ts',
  'src/store/postgres-outage.test.ts',
  'test/security/api-fuzz.test.ts',
  'src/core/journal/floods.test.ts',
];

/** Within each project, what takes longest begins first, so that no worker is still in it while the others have nothing left. */
export class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const gone = slow.filter((file) => !existsSync(join(root, file)));
    if (gone.length > 0) throw new Error(`test/slowest-first.ts names files that are gone: ${gone.join(', ')}`);
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = slow.indexOf(relative(root, moduleId));
      return at === -1 ? slow.length : at;
    };
    const byProject = Map.groupBy(await super.sort(files), ({ project }) => project.name);
    return [...byProject.values()].flatMap((each) => each.toSorted((a, b) => rank(a) - rank(b)));
  }
}
