import { Lock } from 'lucide-react';
import { Empty } from '../ui/states.tsx';

export function OwnersOnly() {
  return (
    <Empty icon={<Lock />} title="This is for the owners of the installation">
      Ask one of them, or for their role.
    </Empty>
  );
}
