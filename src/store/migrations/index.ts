import { Migrator } from 'kysely/migration';
import type { Kysely } from 'kysely';
import { asBerthError } from '../../protocol/errors.ts';
import type { Engine } from '../engine.ts';
import { initial } from './0001-initial.ts';
import { hosts } from './0002-hosts.ts';
import { warmSandboxes } from './0003-warm-sandboxes.ts';
import { restingAndSnapshots } from './0004-resting-and-snapshots.ts';
import { egress } from './0005-egress.ts';
import { usageAndBudgets } from './0007-usage-and-budgets.ts';
import { users } from './0006-users.ts';
import { secrets } from './0009-secrets.ts';
import { keys } from './0008-keys.ts';
import { audit } from './0010-audit.ts';
import { placement } from './0011-placement.ts';
import { permissionPolicy } from './0012-permission-policy.ts';
import { quotas } from './0014-quotas.ts';
import { logSize } from './0015-log-size.ts';
import { signIn } from './0016-sign-in.ts';

/**
 * Brings the database to the newest schema, in one transaction. Migrations are named by number and
 * never edited after a release; a database that knows one this version does not is refused.
 */
export async function migrate<Tables>(db: Kysely<Tables>, engine: Engine): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: {
      getMigrations: async () => ({
        '0001-initial': initial(engine),
        '0002-hosts': hosts(engine),
        '0003-warm-sandboxes': warmSandboxes(),
        '0004-resting-and-snapshots': restingAndSnapshots(engine),
        '0005-egress': egress(engine),
        '0007-usage-and-budgets': usageAndBudgets(engine),
        '0006-users': users(engine),
        '0009-secrets': secrets(engine),
        '0008-keys': keys(engine),
        '0010-audit': audit(engine),
        '0011-placement': placement(),
        '0012-permission-policy': permissionPolicy(),
        '0014-quotas': quotas(engine),
        '0015-log-size': logSize(engine),
        '0016-sign-in': signIn(engine),
      }),
    },
  });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw asBerthError(error);
}
