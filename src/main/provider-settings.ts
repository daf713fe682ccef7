import { z } from 'zod';

const wholePositive = z.coerce.number().int().positive();

const mebibytes = (count: number | undefined) => (count === undefined ? undefined : count * 1024 ** 2);

/** Of each driver that can give its sandboxes a network of their own. */
const fullNetworkSettings = {
  /** The server's setting too, which refuses a policy of `full` without it. */
  BERTH_ALLOW_FULL_NETWORK: z.enum(['true', 'false']).default('false'),
  /** The network namespace, a path, by which full networks go out. Default the one that Berth runs in. */
  BERTH_FULL_NETWORK_NAMESPACE: z.string().startsWith('/').optional(),
};
const fullNetworkOf = (e: z.infer<z.ZodObject<typeof fullNetworkSettings>>) =>
  e.BERTH_ALLOW_FULL_NETWORK === 'true' ? { namespace: e.BERTH_FULL_NETWORK_NAMESPACE ?? null } : null;

/** One entry for each driver that can be told something: its settings, and the options that it is given of them. */
const providerSettings = {
  docker: entry(
    {
      /** The socket of Docker or Podman. */
      BERTH_DOCKER_HOST: z.string().regex(/^unix:\/\/\//, 'unix:///path: the engine must run on this machine').optional(),
      /** A runtime of that engine, as `runsc` or `kata`; default the engine's own. */
      BERTH_DOCKER_RUNTIME: z.string().regex(/^[\w.-]+$/, 'the name of a runtime').optional(),
      /** Images of that engine by template name: `node=node:24,go=golang:1.25`. */
      BERTH_DOCKER_IMAGES: z.string().default('').transform(parseImages),
    },
    (e) => ({
      socketPath: e.BERTH_DOCKER_HOST?.slice('unix://'.length) ?? '/var/run/docker.sock',
      runtime: e.BERTH_DOCKER_RUNTIME ?? null,
      images: e.BERTH_DOCKER_IMAGES,
    }),
  ),
  firecracker: entry(
    {
      /** What each disk of a machine may have of the host's; default no bound. */
      BERTH_FIRECRACKER_DISK_MIB_PER_SECOND: wholePositive.optional(),
      BERTH_FIRECRACKER_DISK_OPERATIONS_PER_SECOND: wholePositive.optional(),
      /** What each direction of a machine's network card may carry; default no bound. */
      BERTH_FIRECRACKER_NETWORK_MIB_PER_SECOND: wholePositive.optional(),
      BERTH_FIRECRACKER_NETWORK_PACKETS_PER_SECOND: wholePositive.optional(),
      ...fullNetworkSettings,
    },
    (e) => ({
      driveLimits: {
        bytesPerSecond: mebibytes(e.BERTH_FIRECRACKER_DISK_MIB_PER_SECOND),
        operationsPerSecond: e.BERTH_FIRECRACKER_DISK_OPERATIONS_PER_SECOND,
      },
      cardLimits: {
        bytesPerSecond: mebibytes(e.BERTH_FIRECRACKER_NETWORK_MIB_PER_SECOND),
        packetsPerSecond: e.BERTH_FIRECRACKER_NETWORK_PACKETS_PER_SECOND,
      },
      fullNetwork: fullNetworkOf(e),
    }),
  ),
  oci: entry(
    {
      /** OCI runtime: `runc`, `crun` or `runsc`; default what suits the host. */
      BERTH_RUNTIME: z.enum(['runc', 'crun', 'runsc']).optional(),
      ...fullNetworkSettings,
    },
    (e) => ({
      runtime: e.BERTH_RUNTIME ?? null,
      fullNetwork: fullNetworkOf(e),
    }),
  ),
  qemu: entry({ ...fullNetworkSettings }, (e) => ({ fullNetwork: fullNetworkOf(e) })),
};

/** The options of every provider that has settings, by its name. Throws a `ZodError` whose path is the variable at fault. */
export function readProviderOptions(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  return Object.fromEntries(Object.entries(providerSettings).map(([name, read]) => [name, read(env)]));
}

function entry<Shape extends z.ZodRawShape>(
  shape: Shape,
  options: (settings: z.infer<z.ZodObject<Shape>>) => Readonly<Record<string, unknown>>,
) {
  const schema = z.object(shape);
  return (env: Readonly<Record<string, string | undefined>>) => options(schema.parse(env));
}

function parseImages(text: string, context: z.RefinementCtx): Record<string, string> {
  const images: Record<string, string> = {};
  for (const each of text.split(',').filter((part) => part.trim() !== '')) {
    const [, name, image] = /^\s*([a-z0-9][a-z0-9._-]*)=(\S+)\s*$/.exec(each) ?? [];
    if (name === undefined || image === undefined) context.addIssue(`"${each}" is not of the form template=image`);
    else images[name] = image;
  }
  return images;
}
