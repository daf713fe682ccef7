import { z } from 'zod';

/** What a machine may have of the host's disk, for each of its drives; what is absent is not limited. */
export const driveLimits = z.strictObject({
  bytesPerSecond: z.int().min(1024 ** 2).optional(),
  operationsPerSecond: z.int().min(10).optional(),
});
export type DriveLimits = z.infer<typeof driveLimits>;

/** What goes through its network card, for each of the two directions. */
export const cardLimits = z.strictObject({
  bytesPerSecond: z.int().min(1024 ** 2).optional(),
  packetsPerSecond: z.int().min(1000).optional(),
});
export type CardLimits = z.infer<typeof cardLimits>;

export interface MachineLimits {
  drives: DriveLimits;
  card: CardLimits;
}

const refillMs = 1000;
/** A second's worth at a time, full again after a second. */
const bucket = (size: number) => ({ size, refill_time: refillMs });

/** `null` without limits. An operation is a request of a disk, a packet of a card. */
function rateLimiter(bytesPerSecond: number | undefined, operationsPerSecond: number | undefined): object | null {
  if (bytesPerSecond === undefined && operationsPerSecond === undefined) return null;
  return {
    ...(bytesPerSecond === undefined ? {} : { bandwidth: bucket(bytesPerSecond) }),
    ...(operationsPerSecond === undefined ? {} : { ops: bucket(operationsPerSecond) }),
  };
}

/** The part of a drive's body that says so; nothing without limits. */
export function driveLimiter({ bytesPerSecond, operationsPerSecond }: DriveLimits): Readonly<Record<string, unknown>> {
  const limiter = rateLimiter(bytesPerSecond, operationsPerSecond);
  return limiter === null ? {} : { rate_limiter: limiter };
}

export function cardLimiters({ bytesPerSecond, packetsPerSecond }: CardLimits): Readonly<Record<string, unknown>> {
  const limiter = rateLimiter(bytesPerSecond, packetsPerSecond);
  return limiter === null ? {} : { rx_rate_limiter: limiter, tx_rate_limiter: limiter };
}
