import type { Session } from '../../../src/sdk/index.ts';
import type { Facts } from '../conversation/model.ts';
export default function Workspace({ session }: { session: Session; facts: Facts; onClose: () => void }) {
  return <aside>{session.id}</aside>;
}
