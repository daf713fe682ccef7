import { z } from 'zod';

/** What a machine may have of the host's disk, for each of its drives; what is absent is not limited. */
export const driveLimits = z.strictObject({
  bytesPerSecond: z.int().min(1024 ** 2).optional(),
  operationsPerSecond: z.int().min(10).optional(),
});
export type DriveLimits = z.infer<typeof driveLimits>;

const refillMs = 1000;
/** A second's worth at a time, full again after a second. */
const bucket = (size: number) => ({ size, refill_time: refillMs });

/** The part of a drive's body that says so; nothing without limits. */
export function rateLimiter({ bytesPerSecond, operationsPerSecond }: DriveLimits): Readonly<Record<string, unknown>> {
  if (bytesPerSecond === undefined && operationsPerSecond === undefined) return {};
  return {
    rate_limiter: {
      ...(bytesPerSecond === undefined ? {} : { bandwidth: bucket(bytesPerSecond) }),
      ...(operationsPerSecond === undefined ? {} : { ops: bucket(operationsPerSecond) }),
    },
  };
}
