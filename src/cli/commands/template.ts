import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { TemplateJob, TemplateView } from '../../protocol/templates-api.ts';
import { action, type CliContext } from '../context.ts';
import { exitCode, exitCodeFor, type ExitCode } from '../exit-codes.ts';
import { isErrorCode } from '../../protocol/errors.ts';
import { onInterrupt } from '../interrupt.ts';
import { sanitizeLine } from '../render/sanitize.ts';
import { renderTable } from '../render/table.ts';
import { formatAge, formatBytes } from '../render/units.ts';

interface JobOptions {
  detach?: boolean;
}

export function register(program: Command): void {
  const template = program
    .command('template')
    .summary('what sandboxes start from')
    .description('File systems that sandboxes start from. Use one with: berth run --template <name>')
    .helpCommand(false);

  template
    .command('build')
    .description('Build a template, or a new version of one. Its log is shown; Ctrl-C cancels.')
    .argument('<name>', 'its name')
    .requiredOption(
      '--from <place>',
      'an image (alpine:3, docker://host/name:tag, oci-archive:/path, docker-archive:/path, oci:/path), a directory with a Dockerfile, any other directory or a tar archive (a root file system), or suite:bookworm',
    )
    .option('--detach', 'do not wait for its end')
    .action(
      action<JobOptions & { from: string }>(async (context, { argument: [name = ''], options: { from, detach } }) => {
        const client = await context.client();
        return watch(context, await client.templates.build(name, { from: absolute(from) }), detach === true);
      }),
    );

  template
    .command('ls')
    .description('List templates.')
    .action(action(async (context) => show(context, await (await context.client()).templates.list())));

  template
    .command('show')
    .description('Show a template: where it is from, its layers and environment.')
    .argument('<name>', 'its name')
    .action(
      action(async (context, { argument: [name = ''] }) => {
        const view = await (await context.client()).templates.get(name);
        if (context.json) return context.writeJson(view);
        const rows: [string, string][] = [
          ['name', view.name],
          ['version', view.version ?? '-'],
          ['from', view.from ?? 'this machine'],
          ['size', view.sizeBytes === null ? '-' : formatBytes(view.sizeBytes)],
          ['built', view.createdAt ?? '-'],
          ['providers', view.providers.map(sanitizeLine).join(', ') || '-'],
          ['kept', view.versions.join(', ') || '-'],
          ...view.layers.map((layer): [string, string] => ['layer', layer]),
          ...Object.entries(view.env).map(([key, value]): [string, string] => ['env', `${key}=${value}`]),
        ];
        context.write(rows.map(([label, value]) => `${context.style.dim(label.padEnd(8))} ${sanitizeLine(value)}\n`).join(''));
      }),
    );

  template
    .command('rm')
    .description('Remove a template that nothing uses.')
    .argument('<name>', 'its name')
    .action(
      action(async (context, { argument: [name = ''] }) => {
        await (await context.client()).templates.remove(name);
      }),
    );

  template
    .command('push')
    .description('Give a template away as an image.')
    .argument('<name>', 'its name')
    .argument('<to>', 'registry.example.org/name:tag, or oci-archive:/path, oci:/path, docker-archive:/path')
    .option('--detach', 'do not wait for its end')
    .action(
      action<JobOptions>(async (context, { argument: [name = '', to = ''], options: { detach } }) => {
        const client = await context.client();
        return watch(context, await client.templates.push(name, { to: absolute(to) }), detach === true);
      }),
    );

  template
    .command('jobs')
    .description('List builds and pushes, newest first.')
    .action(
      action(async (context) => {
        const jobs = await (await context.client()).templates.jobs();
        if (context.json) return context.writeJson({ jobs });
        if (jobs.length === 0) return context.notice('No jobs.');
        const now = Date.now();
        const columns = [
          { title: 'ID', value: (row: TemplateJob) => row.id },
          { title: 'WHAT', value: (row: TemplateJob) => sanitizeLine(`${row.kind} ${row.template}`) },
          { title: 'STATUS', value: (row: TemplateJob) => row.status },
          { title: 'BEGAN', value: (row: TemplateJob) => formatAge(row.startedAt, now) },
          { title: 'PLACE', value: (row: TemplateJob) => sanitizeLine(row.error?.message ?? row.place), shrink: true },
        ];
        context.write(renderTable(jobs, columns, context.width, context.style));
      }),
    );

  template
    .command('logs')
    .description('Show the log of a job, and follow one that runs.')
    .argument('<job>', 'its id')
    .action(
      action(async (context, { argument: [id = ''] }) => {
        const client = await context.client();
        for await (const event of client.templates.follow(id)) {
          if (context.json) context.writeJson(event, 'line');
          else if (event.type === 'line') context.write(`${sanitizeLine(event.text)}\n`);
        }
      }),
    );

  template
    .command('cancel')
    .description('End a job.')
    .argument('<job>', 'its id')
    .action(
      action(async (context, { argument: [id = ''] }) => {
        const job = await (await context.client()).templates.cancel(id);
        if (context.json) return context.writeJson(job);
        context.write(`${job.status}\n`);
      }),
    );
}

/** A path of this machine, for a server that runs on it, after whatever says what kind of file it is. */
function absolute(place: string): string {
  const archive = /^(oci|oci-archive|docker-archive|dir):(?!\/)(.+)$/.exec(place);
  if (archive !== null) return `${archive[1]}:${resolve(archive[2]!)}`;
  return place.startsWith('.') || (!place.includes(':') && existsSync(place)) ? resolve(place) : place;
}

/** Shows the log to the end of the job. An interrupt cancels it. */
async function watch(context: CliContext, job: TemplateJob, detach: boolean): Promise<ExitCode> {
  const client = await context.client();
  if (detach) {
    if (context.json) context.writeJson(job);
    else context.write(`${job.id}\n`);
    return exitCode.ok;
  }
  using _ = onInterrupt(() => void client.templates.cancel(job.id).catch(() => {}));
  for await (const event of client.templates.follow(job.id)) {
    if (event.type === 'line') context.notice(sanitizeLine(event.text));
    else return report(context, event.job);
  }
  return exitCode.unavailable;
}

function report(context: CliContext, job: TemplateJob): ExitCode {
  if (context.json) context.writeJson(job);
  if (job.status === 'succeeded') {
    if (!context.json) context.write(`${sanitizeLine(job.template)} ${job.version}\n`);
    return exitCode.ok;
  }
  const code = job.error?.code ?? 'internal';
  return isErrorCode(code) ? exitCodeFor(code) : exitCode.failed;
}

function show(context: CliContext, templates: readonly TemplateView[]): void {
  if (context.json) return context.writeJson({ templates });
  const now = Date.now();
  const columns = [
    { title: 'NAME', value: (row: TemplateView) => sanitizeLine(row.name) },
    { title: 'VERSION', value: (row: TemplateView) => row.version ?? '-' },
    { title: 'SIZE', value: (row: TemplateView) => (row.sizeBytes === null ? '-' : formatBytes(row.sizeBytes)) },
    { title: 'BUILT', value: (row: TemplateView) => (row.createdAt === null ? '-' : formatAge(row.createdAt, now)) },
    { title: 'FROM', value: (row: TemplateView) => sanitizeLine(row.from ?? 'this machine'), shrink: true },
  ];
  context.write(renderTable(templates, columns, context.width, context.style));
}
