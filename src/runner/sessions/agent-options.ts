import { z } from 'zod';
import { BerthError } from '../../protocol/errors.ts';
import type { JournalEventData } from '../../protocol/events.ts';
import type { AcpClient } from './acp-client.ts';

const modeState = z.object({
  currentModeId: z.string(),
  availableModes: z.array(z.looseObject({ id: z.string(), name: z.string() })),
});
const configOptions = z.array(z.looseObject({ id: z.string() }));

export type ConfigEvent = Extract<JournalEventData, { type: 'agent.config' }>;
type Mode = ConfigEvent['data']['modes'][number];
type Option = ConfigEvent['data']['options'][number];

/**
 * The modes and options of one conversation. The agent is asked to change them and tells of changes of its
 * own; both lead to an `agent.config` event, when something is different from the last.
 */
export class AgentOptions {
  readonly #client: AcpClient;
  readonly #acpSessionId: string;
  readonly #timeoutMs: number;
  #modeId: string | null = null;
  #modes: Mode[] = [];
  #options: Option[] = [];
  #lastEvent = '';

  constructor(client: AcpClient, acpSessionId: string, timeoutMs: number) {
    this.#client = client;
    this.#acpSessionId = acpSessionId;
    this.#timeoutMs = timeoutMs;
  }

  get modeId(): string | null {
    return this.#modeId;
  }

  /** Takes over what an answer or an update of the agent says of modes and options; ill-formed parts are left alone. */
  takeOver(answer: Record<string, unknown>): void {
    if (typeof answer['currentModeId'] === 'string') this.#modeId = answer['currentModeId'];
    const modes = modeState.safeParse(answer['modes']);
    if (modes.success) {
      this.#modeId = modes.data.currentModeId;
      this.#modes = modes.data.availableModes;
    }
    const options = configOptions.safeParse(answer['configOptions']);
    if (options.success) this.#options = options.data;
  }

  /** Throws `invalid_request` naming the known modes, `unsupported` without any, `agent_failed`. */
  async setMode(modeId: string): Promise<void> {
    const known = this.#modes.map(({ id }) => id);
    if (known.length === 0) {
      // ACP is moving modes into the options.
      if (this.#options.some(({ id }) => id === 'mode')) return this.setOption('mode', modeId);
      throw new BerthError('unsupported', 'the agent has no modes', { field: 'modeId' });
    }
    requireKnown('modeId', modeId, known);
    const params = { sessionId: this.#acpSessionId, modeId };
    this.takeOver(await this.#client.request('session/set_mode', params, this.#timeoutMs));
    this.#modeId = modeId;
  }

  /** Throws `invalid_request` naming what is known, `unsupported` without any option, `agent_failed`. */
  async setOption(configId: string, value: string | boolean): Promise<void> {
    const known = this.#options.map(({ id }) => id);
    if (known.length === 0) throw new BerthError('unsupported', 'the agent has no options', { field: 'configId' });
    requireKnown('configId', configId, known);
    const type = typeof value === 'boolean' ? { type: 'boolean' } : {};
    const params = { sessionId: this.#acpSessionId, configId, value, ...type };
    try {
      this.takeOver(await this.#client.request('session/set_config_option', params, this.#timeoutMs));
    } catch (error) {
      // An agent may take values that it does not list (a model's name), so it decides and we explain.
      const values = valuesOf(this.#options.find(({ id }) => id === configId));
      if (values.length > 0 && !(error instanceof BerthError && 'gone' in error.context))
        requireKnown('value', value, values);
      throw error;
    }
  }

  /** The event that tells readers, or `null` when they know. */
  nextEvent(): ConfigEvent | null {
    const data = { modeId: this.#modeId, modes: this.#modes, options: this.#options };
    const text = JSON.stringify(data);
    if (text === this.#lastEvent) return null;
    this.#lastEvent = text;
    return { type: 'agent.config', data };
  }
}

function requireKnown(field: string, value: unknown, known: readonly unknown[]): void {
  if (known.includes(value)) return;
  const shown = known.slice(0, 100);
  const message = `${field} must be one of ${shown.join(', ')}`;
  throw new BerthError('invalid_request', message, { field, context: { known: shown } });
}

/** The values of an option that is a choice; they may stand in groups. */
function valuesOf(option: Option | undefined): unknown[] {
  const entries = option?.['options'];
  if (!Array.isArray(entries)) return typeof option?.['currentValue'] === 'boolean' ? [true, false] : [];
  return entries.flatMap((entry: { value?: unknown; options?: unknown } | null) =>
    Array.isArray(entry?.options)
      ? entry.options.map((inner: { value?: unknown } | null) => inner?.value)
      : [entry?.value],
  );
}
