import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openFullNetwork, type Card, type FullNetwork } from '../../src/sandbox/full-network/full-network.ts';
import { cardAddress, hostAddress } from '../../src/sandbox/full-network/names.ts';
import { runCommand } from '../../src/sandbox/run-command.ts';
import { openSmallInternet, type SmallInternet } from '../fixtures/small-internet.ts';

/** What a guest can send whose kernel is its own: whole frames, through the device of a machine's card. */
let internet: SmallInternet;
let directory: string;
let network: FullNetwork;
let card: Card;
const sandboxId = 'sbx_card';
const uid = 1_900_000_001;

beforeAll(async () => {
  internet = await openSmallInternet();
  directory = mkdtempSync(join(tmpdir(), 'berth-card-'));
  const settings = { namespace: internet.namespace };
  network = (await openFullNetwork({ installation: 'card-test', stateFile: join(directory, 'state.json'), settings, connection: 'card', sandboxIds: [] }))!;
  const slot = await network.draw(new Set());
  await network.attachCard(sandboxId, slot, uid);
  card = network.card(sandboxId, slot);
});
afterAll(async () => {
  await network?.detach(sandboxId);
  const left = internet === undefined ? '' : `${await internet.run('nft', 'list', 'ruleset')}${await internet.run('ip', '-brief', 'link')}`;
  await internet?.close();
  rmSync(directory, { recursive: true, force: true });
  expect(left).not.toMatch(/bf|berth/);
});

/** Runs a program with the card's device open, as a user that has nothing else. */
async function withCard(program: string, user = uid): Promise<string> {
  const view = 'mount -t tmpfs tun /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec "$@"';
  const argv = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', view, 'sh', 'setpriv', '--reuid', String(user), '--regid', String(user), '--clear-groups', '--inh-caps=-all', '--bounding-set=-all'];
  const { stdout, stderr } = await runCommand('nsenter', [`--net=${internet.namespace}`, '--', ...argv, 'python3', '-c', `${frames}\n${program}`, card.device, hostAddress, cardAddress, ...card.addresses, String(internet.port)]);
  return stdout.trim() || stderr.trim();
}

const frames = `
import fcntl, os, select, socket, struct, sys, time
device, host, own = sys.argv[1], *[bytes.fromhex(each.replace(':', '')) for each in sys.argv[2:4]]
ipv4, hop4, ipv6, hop6, port = sys.argv[4:9]
def four(text): return socket.inet_pton(socket.AF_INET, text)
def six(text): return socket.inet_pton(socket.AF_INET6, text)
try:
  tap = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
  fcntl.ioctl(tap, 0x400454ca, struct.pack('16sH22x', device.encode(), 0x1002))
except OSError as error:
  print(os.strerror(error.errno)); sys.exit()
def checksum(data):
  data += b'\\0' * (len(data) % 2)
  total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
  while total >> 16: total = (total & 0xffff) + (total >> 16)
  return ~total & 0xffff
def send(kind, payload, to=host): os.write(tap, to + own + struct.pack('!H', kind) + payload)
def arp(sender, target): send(0x0806, struct.pack('!HHBBH', 1, 0x0800, 6, 4, 1) + own + four(sender) + bytes(6) + four(target), b'\\xff' * 6)
def udp4(source, target):
  data = struct.pack('!HHHH', 4000, int(port), 9, 0) + b'x'
  header = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(data), 1, 0, 64, 17, 0) + four(source) + four(target)
  send(0x0800, header[:10] + struct.pack('!H', checksum(header)) + header[12:] + data)
def solicit(source, target):
  body = struct.pack('!BBHI', 135, 0, 0, 0) + six(target) + b'\\x01\\x01' + own
  pseudo = six(source) + six(target) + struct.pack('!IHBB', len(body), 0, 0, 58)
  body = body[:2] + struct.pack('!H', checksum(pseudo + body)) + body[4:]
  send(0x86dd, struct.pack('!IHBB', 6 << 28, len(body), 58, 255) + six(source) + six(target) + body)
def heard(seconds=1.0):
  got, until = [], time.monotonic() + seconds
  while select.select([tap], [], [], max(0, until - time.monotonic()))[0]: got.append(os.read(tap, 65536))
  return got
def answers(kind): return [each for each in heard() if each[12:14] == struct.pack('!H', kind)]
`;

test('the device is the machine user’s and nobody else’s', async () => {
  expect(await withCard('print("open")')).toBe('open');
  expect(await withCard('print("open")', uid + 1)).toBe('Operation not permitted');
});

test('whoever it says it is, only its own address gets out, and answers come to that alone', async () => {
  const before = (await network.counts(sandboxId))!;
  const program = `
# As one that speaks: the host then knows where it is.
arp(ipv4, hop4)
udp4(ipv4, '${internet.public4}')
print(len([each for each in answers(0x0800) if each[23] == 17]), end=' ')
for source in ['10.77.0.9', '${internet.hosts[2]}', '198.18.0.1', '93.184.215.77']: udp4(source, '${internet.public4}')
print(len([each for each in answers(0x0800) if each[23] == 17]))`;
  expect(await withCard(program)).toBe('1 0');
  const { asked } = (await network.counts(sandboxId))!;
  expect(asked - before.asked).toBe(1);
});

test('it learns of no address of the host but its next hop’s, and fills no table of neighbours', async () => {
  const program = `
arp(ipv4, hop4)
print(len(answers(0x0806)), end=' ')
for target in ${JSON.stringify(internet.hosts.filter((address) => address.includes('.')))}: arp(ipv4, target)
print(len(answers(0x0806)), end=' ')
for n in range(400): arp('10.9.%d.%d' % (n // 200, n % 200 + 1), hop4)
for n in range(400): solicit('fe80::%x' % (n + 0x1000), hop6)
time.sleep(0.5)
print('sent')`;
  expect(await withCard(program)).toBe('1 0 sent');
  const noted = async (family: string) => (await internet.run('ip', family, 'neigh', 'show', 'dev', card.device)).split('\n').filter((line) => line !== '').length;
  expect(await noted('-4')).toBeLessThan(5);
  expect(await noted('-6')).toBeLessThan(60);
});
