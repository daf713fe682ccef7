import { BerthError, type PortInfo } from '../../../src/sdk/index.ts';
import { client } from '../api.ts';
import { toastFailure } from '../ui/toasts.tsx';

/** Opens what listens on a port: as a preview with an address of its own, or where the server has none below its own address. */
export function PortLink({ sessionId, port }: { sessionId: string; port: PortInfo['port'] }) {
  const plain = `/api/sessions/${sessionId}/ports/${port}/`;

  async function open(): Promise<void> {
    // Opened at once: after an answer was waited for, browsers take it for a pop-up.
    const tab = window.open('about:blank', '_blank');
    if (tab !== null) tab.opener = null;
    try {
      const { url } = await client.sessions.preview(sessionId, port);
      tab?.location.replace(url);
    } catch (error) {
      if (error instanceof BerthError && error.code === 'unsupported') return tab?.location.replace(plain);
      tab?.close();
      throw error;
    }
  }

  return (
    <a
      href={plain}
      target="_blank"
      rel="noopener"
      className="text-accent underline underline-offset-2"
      onClick={(event) => {
        event.preventDefault();
        void open().catch(toastFailure('No preview'));
      }}
    >
      {port}
    </a>
  );
}
