import { BerthError } from '../../protocol/errors.ts';
import { join } from 'node:path';
import { requireTool, runTool, type ToolOptions } from './confined-tool.ts';
import { parsePlace } from './place.ts';
import type { Template } from './template.ts';

/** Gives a template away as an image of one layer: what its sandboxes start from, so without what was left out when it was made. */
export async function pushImage(template: Template, to: string, options: ToolOptions): Promise<void> {
  const { scratchDir, say } = options;
  const place = parsePlace(to, 'to');
  if (place.kind !== 'image') {
    throw new BerthError('invalid_request', `${to}: push to an image, as registry.example.org/name:tag, or oci-archive:/path`, { field: 'to' });
  }
  await requireTool('skopeo');
  const [archive, layout] = [join(scratchDir, 'root.tar'), join(scratchDir, 'image')];
  say('packing');
  await runTool('tar', ['--create', '--numeric-owner', '--sort=name', '--file', archive, '--directory', template.rootfs, '.'], options);
  const image = ['--image', `${layout}:template`];
  await runTool('umoci', ['init', '--layout', layout], options);
  await runTool('umoci', ['new', ...image], options);
  await runTool('umoci', ['raw', 'add-layer', ...image, archive], options);
  const env = Object.entries(template.env).flatMap(([name, value]) => ['--config.env', `${name}=${value}`]);
  if (env.length > 0) await runTool('umoci', ['config', ...image, ...env], options);
  say(`copying to ${place.reference}`);
  await runTool('skopeo', ['--insecure-policy', 'copy', `oci:${layout}:template`, place.reference], options);
}
