/** What Berth's things are called in an engine. Others share it, so everything carries the installation's name. */
export const labels = {
  /** On containers and volumes: the installation. */
  installation: 'berth.installation',
  /** On the container and the volume of a sandbox: its id. */
  sandbox: 'berth.sandbox',
  /** On containers that never run, through which files are copied. */
  helper: 'berth.helper',
  /** On images of an installation: copies of sandboxes. Of other names than the above, for a container inherits its image's labels. */
  copyOf: 'berth.copy-of',
  copyInstallation: 'berth.copy-installation',
  copyTemplate: 'berth.copy-template',
  copyCreatedAt: 'berth.copy-created-at',
  /** On images of templates that were not made here. */
  template: 'berth.template',
} as const;

/**
 * Whether a container is a sandbox's own. Labels alone do not tell: an image has those of the container it was committed from, and so
 * has every container that is made from it.
 */
export function isSandbox(installation: string, { Names, Labels }: { Names: readonly string[]; Labels: Readonly<Record<string, string>> }): boolean {
  const id = Labels[labels.sandbox];
  return id !== undefined && Names.some((name) => name.replace(/^\//, '') === containerName(installation, id));
}

export const containerName = (installation: string, id: string) => `berth-${installation}-${id}`;
export const snapshotRepository = (installation: string) => `berth-snapshot-${installation}`;
export const templateRepository = (installation: string) => `berth-template-${installation}`;
