import { z } from 'zod';

const names = z.array(z.string().min(1).max(200)).min(1);
const providerList = z.array(z.string().min(1)).min(1);
const mebibytes = z.number().int().positive();

/** What a provider offers beyond running sandboxes; what is not said it does not offer. */
export const providerOffer = z.strictObject({
  gpu: z.boolean().default(false),
  /** Where its sandboxes' data lies, in the operator's own words: `eu`, `on-premises`. */
  residency: z.array(z.string().min(1)).default([]),
  /** The most memory of one sandbox; absent: as the server's own limit. */
  memoryMib: mebibytes.optional(),
});

/** Everything that is named must hold; of a list, one of it. */
export const placementRule = z.strictObject({
  /** Told as the reason. */
  name: z.string().min(1).max(200),
  users: names.optional(),
  /** Whoever is a member of one. */
  teams: names.optional(),
  /** `host/owner/name`, with `*` for anything. */
  repositories: names.optional(),
  labels: names.optional(),
  gpu: z.boolean().optional(),
  residency: names.optional(),
  memoryMibAtLeast: mebibytes.optional(),
  /** In the order of preference; a later one is taken when the first sandbox cannot be made on an earlier. */
  providers: providerList,
});

/** Which provider a session gets: the first rule that holds decides, else `default`. */
export const placementPolicy = z.strictObject({
  providers: z.record(z.string().min(1), providerOffer).default({}),
  rules: z.array(placementRule).max(500).default([]),
  /** Absent: the server's first provider. */
  default: providerList.optional(),
});
export type PlacementPolicy = z.infer<typeof placementPolicy>;
export type PlacementRule = z.infer<typeof placementRule>;

/** Without a policy: the first provider, and no other in its stead, for another may have other walls. */
export const noPolicy: PlacementPolicy = placementPolicy.parse({});
