import type { AgentDefinition } from '../core/ports/agent.ts';
import { guestRunnerPath } from '../core/ports/sandbox-provider.ts';

/** Runs the prompt as a shell script. Part of the runner's layer; needs no model and no package. */
export const shell: AgentDefinition = {
  name: 'shell',
  title: 'Shell',
  packages: [],
  model: 'none',
  launch(context) {
    return {
      argv: [context.nodePath, `${guestRunnerPath}/shell-agent.mjs`],
      env: {},
      files: [],
      defaultModeId: null,
      config: {},
    };
  },
};
