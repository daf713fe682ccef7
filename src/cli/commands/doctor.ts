import type { Command } from 'commander';
import type { DoctorFinding } from '../../sdk/index.ts';
import { action } from '../context.ts';
import { renderFindings } from '../render/findings.ts';

export function register(program: Command): void {
  program
    .command('doctor')
    .summary('say what this machine can do, and how to get more')
    .description(
      'Say what was detected on this machine, what Berth chooses and why, and how to get better. Needs no server.',
    )
    .option('--server', 'ask the server about its machine instead')
    .action(
      action<{ server?: boolean }>(async (context, { options }) => {
        const findings = options.server ? await (await context.client()).doctor() : await local();
        if (context.json) context.writeJson({ findings });
        else context.write(renderFindings(findings, context.style, context.width));
      }),
    );
}

/** The server's side is loaded only by the commands that are the server: `up` and this one. */
async function local(): Promise<readonly DoctorFinding[]> {
  const { hostReport } = await import('../../main.ts');
  return hostReport();
}
