import { expect, it } from 'vitest';
import { parseTable } from './listening.ts';

const header = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';

it('reads listening sockets of both families and no others', () => {
  const v4 =
    '   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0\n' +
    '   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0\n';
  expect(parseTable(header + v4)).toEqual([{ port: 8080, address: '127.0.0.1', inode: '4711' }]);
  const row = (address: string) => `   0: ${address}:0050 ${'0'.repeat(32)}:0000 0A 0:0 00:0 0  0        0 1 1 0\n`;
  const v6 = row('0'.repeat(32)) + row('00000000000000000000000001000000') + row('B80D0120000000000000000034120000');
  expect(parseTable(header + v6).map(({ address }) => address)).toEqual(['::', '::1', '2001:db8::1234']);
  expect(parseTable('')).toEqual([]);
});
