import { checkBranchName } from '../core/git-names.ts';
import type { GitReceiver } from '../core/ports/git.ts';
import { BerthError } from '../protocol/errors.ts';
import type { PublishOptions } from './publish.ts';
import { probeRemote } from './remote.ts';
import { checkedSha } from './sandbox-git.ts';
import { sendOn } from './send-on.ts';

/** Pushes that a sandbox's own git makes go out the way that Berth's do. */
export function createReceiver(options: PublishOptions): GitReceiver {
  const { mirrors } = options;
  return {
    async refs(url, signal) {
      await mirrors.update(url, () => {}, signal);
      return mirrors.refs(url, signal);
    },

    async receive(request, pack, onLine, signal) {
      checkBranchName(request.branch, 'branch');
      const commit = { ...request, baseCommit: checkedSha(request.baseCommit), sha: checkedSha(request.sha) };
      const objectsDir = await mirrors.find(request.url);
      if (objectsDir === null) throw new BerthError('conflict', 'a push begins with asking for the refs', { field: 'repository' });
      const credential = await options.credentials(request.url, signal);
      await probeRemote(request.url, 'git-receive-pack', { credential, signal });
      await sendOn({ ...options, objectsDir }, { ...commit, credential }, pack, onLine, signal);
    },
  };
}
