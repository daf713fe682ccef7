import {
  deviceAnswer,
  deviceRequest,
  deviceStart,
  type DeviceAnswer,
  type DeviceRequest,
  type DeviceRequestInput,
  type DeviceStart,
} from '../../protocol/device-api.ts';
import type { Transport } from '../transport.ts';
import type { CallOptions } from './files.ts';

/** Letting in programs that have no browser. */
export interface DevicesResource {
  /** As the program: a code for its person to type. Needs no token. */
  begin(input: DeviceRequestInput, options?: CallOptions): Promise<DeviceStart>;
  /** As the program: whether somebody has decided. Needs no token; to be asked every `intervalSeconds`. */
  poll(deviceCode: string, options?: CallOptions): Promise<DeviceAnswer>;
  /** As who decides. Throws `not_found` for a code that is not, was answered, or has ended. */
  get(userCode: string, options?: CallOptions): Promise<DeviceRequest>;
  /** It gets a token of the caller, or hears that it does not. Throws as `get`. */
  decide(userCode: string, allow: boolean, options?: CallOptions): Promise<void>;
  /** Ends the very token of this client. */
  signOut(options?: CallOptions): Promise<void>;
}

export function createDevicesResource(transport: Transport): DevicesResource {
  const path = (userCode: string): string => `/api/device-requests/${encodeURIComponent(userCode)}`;
  return {
    begin: (input, options) => transport.json(deviceStart, 'POST', '/api/device-requests', { json: input, ...options }),
    // Not repeated: the token is in one answer alone.
    poll: (deviceCode, options) => transport.json(deviceAnswer, 'POST', '/api/device-tokens', { json: { deviceCode }, ...options }),
    get: (userCode, options) => transport.json(deviceRequest, 'GET', path(userCode), options),
    decide: (userCode, allow, options) => transport.empty('POST', path(userCode), { json: { allow }, ...options }),
    signOut: (options) => transport.empty('DELETE', '/api/token', options),
  };
}
