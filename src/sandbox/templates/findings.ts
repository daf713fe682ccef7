import type { Finding } from '../../core/ports/sandbox-provider.ts';
import { findProgram } from '../find-program.ts';
import { toolPackages, type Tool } from './confined-tool.ts';

const uses: Record<Tool, string> = {
  skopeo: 'images and archives',
  umoci: 'push',
  buildah: 'Dockerfiles',
  mmdebstrap: 'Debian suites',
  tar: 'directories',
};

/** Which templates can be built here. None of the programs is needed for anything else. */
export async function templatesFinding(): Promise<Finding> {
  const tools = Object.keys(toolPackages) as Tool[];
  const found = await Promise.all(tools.map(async (tool) => [tool, (await findProgram(tool)) !== null] as const));
  const [there, missing] = [true, false].map((which) => found.filter(([, is]) => is === which).map(([tool]) => tool)) as [Tool[], Tool[]];
  return {
    subject: 'templates',
    status: missing.length === 0 ? 'ok' : 'degraded',
    detected: there.join(', ') || 'none of the programs that build templates',
    choice: `templates are built from tar archives${there.map((tool) => `, ${uses[tool]}`).join('')}`,
    advice: missing.length === 0 ? null : `for ${missing.map((tool) => uses[tool]).join(', ')}: apt-get install ${missing.map((tool) => toolPackages[tool]).join(' ')}`,
  };
}
