import { existsSync } from 'node:fs';
import { engineCall, settleInEngine } from './engine.ts';
import { release } from './copies.ts';
import { sandboxIds, type Installation } from './installation.ts';
import { isSandbox, labels } from './names.ts';
import { removeContainer, removeSandbox, sandboxParts } from './sandbox.ts';

/** Ends what a crash of the last process left half done: this one has the lock, so nobody is still at it. */
export async function recoverInstallation(installation: Installation): Promise<void> {
  const { engine, id } = installation;
  for (const each of await sandboxIds(installation)) {
    const parts = sandboxParts(installation, each);
    if (existsSync(parts.paths.creating)) await removeSandbox(installation, each);
    else if (existsSync(parts.paths.held)) await release(parts);
  }
  const helpers = { label: [`${labels.installation}=${id}`, labels.helper] };
  for (const found of await engineCall(() => engine.listContainers({ all: true, filters: helpers }))) {
    if (!isSandbox(id, found)) await removeContainer(engine.getContainer(found.Id));
  }
  // Copies without a name that nobody needs; one that somebody does is a conflict.
  const nameless = { label: [`${labels.copyInstallation}=${id}`], dangling: ['true'] };
  for (const { Id } of await engineCall(() => engine.listImages({ filters: nameless }))) {
    await settleInEngine(() => engine.getImage(Id).remove()).catch(() => {});
  }
}
