import { Page } from '../../ui/page.tsx';
import { ModelKeys } from './model-keys.tsx';
import { ServiceSecrets } from './service-secrets.tsx';

export function KeysPage() {
  return (
    <Page title="Keys" about="They go in and never come out: the gateway uses them, no sandbox has them.">
      <div className="space-y-8">
        <ModelKeys />
        <ServiceSecrets />
      </div>
    </Page>
  );
}
