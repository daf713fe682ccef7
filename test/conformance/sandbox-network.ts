import { afterAll, beforeAll, describe, expect } from 'vitest';
import type { Finding, SandboxProvider, SandboxSpec } from '../../src/core/ports/sandbox-provider.ts';
import { openSmallInternet, type SmallInternet } from '../fixtures/small-internet.ts';
import { casesOn, noteLack, recordOutcomes, type NotOnContract } from './outcomes.ts';
import { options, patienceMs, runnerOf, shell, specFor, type ProviderHarness } from './sandbox-provider.ts';

const unsupported = { code: 'unsupported', field: 'network' };

/**
 * What every driver must do with the network mode `full`, with `internet.namespace` for the host's own network, or refuse. Its capabilities
 * say which.
 */
export function sandboxNetworkSuite(name: string, open: (internet: SmallInternet) => Promise<ProviderHarness>, contract: NotOnContract = {}): void {
  describe(`sandbox provider's full network: ${name}`, () => {
    let internet: SmallInternet;
    let harness: ProviderHarness;
    let provider: SandboxProvider;
    let first: SandboxSpec;
    let second: SandboxSpec;
    const made = new Set<string>();
    let findings: readonly Finding[] = [];
    recordOutcomes('network', name, () => provider?.capabilities ?? null, () => findings, contract);
    const test = casesOn(contract);

    beforeAll(async () => {
      internet = await openSmallInternet();
      harness = await open(internet);
      provider = harness.provider;
      ({ findings } = await provider.probe(options()));
      await provider.list(options());
      if (provider.capabilities.network.includes('full')) [first, second] = await Promise.all([create('full'), create('full')]);
      else first = await create('none');
    });

    afterAll(async () => {
      if (harness === undefined) return internet?.close();
      for (const id of made) await provider.destroy(id, options());
      const left = await Promise.all([...made].map((id) => harness.leftovers(id)));
      await harness.cleanup();
      const [links, rules, routes] = await Promise.all([
        internet.run('ip', '-brief', 'link'),
        internet.run('nft', 'list', 'ruleset'),
        internet.run('ip', 'route'),
      ]);
      await internet.close();
      expect(left.flat()).toEqual([]);
      expect(links.trim().split('\n').map((line) => line.split(/[@\s]/)[0])).toEqual(['lo', 'uplink']);
      expect(rules).toBe('');
      expect(routes).not.toContain('198.1');
    });

    async function create(network: SandboxSpec['network']): Promise<SandboxSpec> {
      const spec = specFor(provider, harness.template, { network });
      made.add(spec.id);
      await provider.create(spec, options());
      return spec;
    }

    /** Of a provider without it: seen to refuse it to a new sandbox and to one that runs, which goes on as it was. */
    async function isRefused(): Promise<boolean> {
      if (provider.capabilities.network.includes('full')) return false;
      noteLack('network');
      const spec = specFor(provider, harness.template, { network: 'full' });
      await expect(provider.create(spec, options())).rejects.toMatchObject(unsupported);
      expect(await harness.leftovers(spec.id)).toEqual([]);
      const { labels, limits } = first;
      await expect(provider.update(first.id, { labels, limits, network: 'full' }, options())).rejects.toMatchObject({ code: 'unsupported' });
      const { network, status } = await provider.get(first.id, options());
      expect([network ?? 'none', status]).toEqual(['none', 'running']);
      return true;
    }

    /** What becomes of a connection to each: the answer, or the error. */
    async function reach(from: SandboxSpec, targets: readonly string[], protocol: 'tcp' | 'udp' = 'tcp'): Promise<Record<string, string>> {
      const { stdout, stderr } = await shell(provider, from, `/berth/runner/bin/node -e '${program}' ${protocol} ${internet.port} ${harness.slow ? 5000 : 1500} ${targets.join(' ')}`);
      expect(stderr).toBe('');
      return JSON.parse(stdout) as Record<string, string>;
    }

    const all = (targets: readonly string[], answer: unknown) => Object.fromEntries(targets.map((target) => [target, answer]));
    const refused = expect.stringMatching(/^(E(HOST|NET)UNREACH|EACCES|EADDRNOTAVAIL|EINVAL|ECONNREFUSED|silent)$/) as unknown;

    async function addressesOf(spec: SandboxSpec): Promise<string[]> {
      const { stdout } = await shell(provider, spec, `/berth/runner/bin/node -p 'Object.values(require("os").networkInterfaces()).flat().filter((each) => !each.internal).map((each) => each.address.replace(/%.*/, "")).join(" ")'`);
      return stdout.split(' ').filter((address) => address !== '');
    }

    test('public addresses are reached by any protocol, from an address of the host', async () => {
      if (await isRefused()) return;
      const { public4, public6, hosts } = internet;
      expect(await provider.get(first.id, options())).toMatchObject({ network: 'full' });
      expect(await reach(first, [public4, public6])).toEqual({ [public4]: `::ffff:${hosts[0]}`, [public6]: hosts[1] });
      expect(await reach(second, [public4, public6], 'udp')).toEqual(all([public4, public6], 'answered'));
    });

    test('nothing else is: not what is private, nor the host, nor a neighbour, by TCP or UDP', async () => {
      if (await isRefused()) return;
      const { private4, private6, metadata, hosts } = internet;
      const neighbour = await addressesOf(second);
      expect(neighbour.length).toBeGreaterThanOrEqual(2);
      const mapped = `::ffff:${private4}`;
      const more = ['198.18.0.1', 'fe80::1%eth0', '224.0.0.1', '255.255.255.255', 'ff02::1%eth0', '192.168.1.1', '172.17.0.1', '100.100.100.200', 'fd00:ec2::254', mapped];
      const targets = [private4, private6, metadata, ...hosts, ...neighbour, ...more];
      // A neighbour that listens, so that nobody's absence is taken for a refusal.
      const runner = runnerOf(provider, second);
      const listening = await runner.exec({ argv: ['/bin/sh', '-c', `/berth/runner/bin/node -e 'require("net").createServer((s)=>s.end("neighbour\\n")).listen(${internet.port},"::")' >/dev/null 2>&1 &`], timeoutMs: patienceMs }, options().signal);
      runner.close();
      expect(listening.exitCode).toBe(0);
      const before = (await provider.stats(first.id, options())).connections!;
      expect(await reach(first, targets)).toEqual(all(targets, refused));
      expect(await reach(first, targets, 'udp')).toEqual(all(targets, refused));
      // From outside nobody comes in, the host included.
      for (const address of neighbour.filter((each) => !each.startsWith('fe80'))) {
        await expect(internet.run('timeout', '1', 'bash', '-c', `exec 3<>/dev/tcp/${address}/${internet.port}`)).rejects.toThrow();
      }
      const { asked, refused: dropped } = (await provider.stats(first.id, options())).connections!;
      expect(dropped - before.refused).toBeGreaterThan(targets.length);
      expect(asked).toBeGreaterThan(before.asked);
    });

    test('a sandbox without one has loopback alone, and gets and loses one while it runs', async () => {
      if (await isRefused()) return;
      const { public4 } = internet;
      const spec = await create('none');
      expect((await provider.stats(spec.id, options())).connections).toBeUndefined();
      const { labels, limits } = spec;
      if (provider.capabilities.update === 'none') {
        noteLack('update');
        await expect(provider.update(spec.id, { labels, limits, network: 'full' }, options())).rejects.toMatchObject(unsupported);
        expect(await reach(spec, [public4])).toEqual({ [public4]: refused });
        // What it has from its start on can be given while it does not run, and taken at any time.
        await provider.stop(spec.id, options());
        expect(await provider.update(spec.id, { labels, limits, network: 'full' }, options())).toMatchObject({ network: 'full', status: 'stopped' });
        await provider.start(spec.id, options());
        expect(await reach(spec, [public4])).toEqual({ [public4]: `::ffff:${internet.hosts[0]}` });
        const taken = await provider.update(spec.id, { labels, limits, network: 'none' }, options());
        expect(taken.network).toBeUndefined();
        expect((await provider.stats(spec.id, options())).connections).toBeUndefined();
        expect(await reach(spec, [public4])).toEqual({ [public4]: refused });
        await provider.destroy(spec.id, options());
        return;
      }
      for (const [network, answer] of [['none', refused], ['full', `::ffff:${internet.hosts[0]}`], ['none', refused]] as const) {
        const info = await provider.update(spec.id, { labels, limits, network }, options());
        expect(info.network ?? 'none').toBe(network);
        expect(await reach(spec, [public4])).toEqual({ [public4]: answer });
      }
      await provider.destroy(spec.id, options());
    });

    test('connections outlive a restart and a hibernation, at the same address', async () => {
      if (await isRefused()) return;
      const { public4, public6, hosts, private4 } = internet;
      const before = await addressesOf(first);
      const runner = runnerOf(provider, first);
      // Keeps one connection open and says at each request whether it still carries.
      await runner.exec({ argv: ['/bin/sh', '-c', `/berth/runner/bin/node -e '${keeper}' ${public4} ${internet.port} >keeper.log 2>&1 &`], timeoutMs: patienceMs }, options().signal);
      runner.close();
      const carries = async () => (await shell(provider, first, `for i in $(seq 200); do [ -S keeper.sock ] && break; sleep 0.1; done; /berth/runner/bin/node -e 'require("net").connect("keeper.sock").on("error", (e) => console.log(e.code)).pipe(process.stdout)'; cat keeper.log`)).stdout;
      expect(await carries()).toBe('carried');
      provider = await harness.restart();
      expect(await reach(first, [public4, private4])).toEqual({ [public4]: `::ffff:${hosts[0]}`, [private4]: refused });
      expect(await carries()).toBe('carried');
      if (provider.capabilities.hibernate === 'none') return;
      await provider.hibernate(first.id, options());
      expect((await internet.run('ip', '-brief', 'link')).match(/^bf\S+/gm)).toHaveLength(1);
      const { restored, reason } = await provider.wake(first.id, options());
      expect({ restored, reason }).toEqual({ restored: 'memory', reason: null });
      expect(await addressesOf(first)).toEqual(expect.arrayContaining(before.filter((address) => !address.startsWith('fe80'))));
      expect(await carries()).toBe('carried');
      expect(await reach(first, [public6, private4])).toEqual({ [public6]: hosts[1], [private4]: refused });
    });

    test('a fork and one that was stopped have addresses of their own', async () => {
      if (await isRefused()) return;
      const { public4, private4 } = internet;
      await provider.stop(second.id, options());
      await provider.start(second.id, options());
      const forked = { ...specFor(provider, harness.template, { network: 'full' }) };
      made.add(forked.id);
      await provider.fork({ sandboxId: second.id }, [forked], options());
      const own = (addresses: string[]) => addresses.filter((address) => address.startsWith('198.'));
      expect(own(await addressesOf(forked))).not.toEqual(own(await addressesOf(second)));
      for (const spec of [second, forked]) {
        expect(await reach(spec, [public4, private4])).toEqual({ [public4]: `::ffff:${internet.hosts[0]}`, [private4]: refused });
      }
    });

    test('what a crash left of sandboxes that are gone is removed at the next start', async () => {
      if (await isRefused()) return;
      await harness.killInside(second.id);
      await provider.destroy(second.id, options());
      const [link] = /bf\w+-/.exec(await internet.run('ip', '-brief', 'link'))!;
      await internet.run('ip', 'link', 'add', `${link}stray`, 'type', 'veth', 'peer', 'name', 'stray');
      provider = await harness.restart();
      await provider.list(options());
      const names = await internet.run('ip', '-brief', 'link');
      expect(names).not.toContain('stray');
      expect(await reach(first, [internet.public4])).toEqual({ [internet.public4]: `::ffff:${internet.hosts[0]}` });
    });
  });
}

const program = `
const net = require("net"), dgram = require("dgram");
const [protocol, port, timeout, ...targets] = process.argv.slice(1);
const tcp = (host) => new Promise((done) => { const s = net.connect({ host, port, timeout: +timeout }); s.on("data", (b) => { done(String(b).trim()); s.destroy(); }).on("timeout", () => { done("silent"); s.destroy(); }).on("error", (e) => done(e.code)); });
const udp = (host) => new Promise((done) => { const s = dgram.createSocket(host.includes(":") ? "udp6" : "udp4"); setTimeout(() => done("silent"), +timeout).unref(); s.on("error", (e) => done(e.code)); s.on("message", () => done("answered")); s.connect(port, host, (e) => e ? done(e.code) : s.send("x", (e) => e && done(e.code))); });
Promise.all(targets.map(protocol === "tcp" ? tcp : udp)).then((answers) => { console.log(JSON.stringify(Object.fromEntries(targets.map((each, at) => [each, answers[at]])))); process.exit(); });
`;

const keeper = `
const net = require("net");
const kept = net.connect(process.argv[2], process.argv[1]);
kept.once("data", () => net.createServer((asking) => { kept.once("data", () => asking.end("carried")); kept.write("x"); }).listen("keeper.sock"));
kept.on("error", (e) => { console.log(e.code); process.exit(); });
`;
