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

export const containerName = (installation: string, id: string) => `berth-${installation}-${id}`;
export const snapshotRepository = (installation: string) => `berth-snapshot-${installation}`;
export const templateRepository = (installation: string) => `berth-template-${installation}`;
