/** vpn-tcp beside others who change the machine in the middle of a session: a firewall, networkd, DHCP, an administrator. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { runProgram } from "@/process/mod.ts";
import { needing } from "../testkit/needing.ts";
import { buildProgram, type HelperStart, machineTest, makePod, READ, start, until, vpnTest } from "./harness.ts";
import type { Played } from "./played_machine.ts";

const WITHOUT_OWNED_TABLES = await buildProgram("without_owned_tables");
const hasIptables = (await runProgram(["sh", "-c", "command -v iptables-legacy"])).code === 0;
const iptablesTest = needing(hasIptables ? undefined : "iptables-legacy is not installed", takenAway);

/** Before 5.12 tables belong to nobody, and everybody may empty them. */
const OLD_KERNEL: HelperStart = { asRoot: [WITHOUT_OWNED_TABLES] };
/** DNS is to come before mDNS, so that a file is laid over nsswitch.conf. */
const WITH_MDNS: Played = { hosts: "files mdns4_minimal [NOTFOUND=return] dns" };

/** What programs hear from the cluster, over IPv4 and IPv6 and by name. */
const HEARS = `${READ}\nprint({read(host) for host in ("10.96.7.7", "fd00:96::7", "helloworld.default")})`;

/** What is taken away comes back as it was, and the user is told once. */
function takenAway(by: string, what: RegExp, how: { take: string; helper?: HelperStart; played?: Played }): void {
  const said: string[] = [];
  vpnTest(`what ${by} takes away is made again, and told`, async ({ machine }) => {
    const whole = await machine.state();
    await machine.shell(how.take);
    await until(() => said.length > 0, "it is noticed");
    match(said.join("\n"), what);
    match(said.join("\n"), /^Another program took away what leads to the cluster here \(.*\): it is made again$/);
    equals(await machine.state(), whole);
    equals(await machine.shell(`python3 -c '${HEARS}'`), "{'Hello from the pod'}");
    equals(said.length, 1);
  }, {
    options: { say: (line) => void said.push(line), lookMs: 300 },
    ...how.helper && { helper: how.helper },
    ...how.played && { played: how.played },
  });
}

for (
  const take of [
    "nft flush ruleset",
    "nft delete table inet telepresence",
    "nft flush table inet telepresence",
    "nft flush chain inet telepresence wanted",
  ]
) {
  takenAway(`${take}, on a kernel before 5.12,`, /nftables table/, { take, helper: OLD_KERNEL });
}
const BOTH = (words: string) => `iptables-legacy ${words}; ip6tables-legacy ${words}`;
iptablesTest("an iptables-restore", /chains telepresence of iptables/, {
  take: "echo '*mangle\nCOMMIT' | tee /dev/stderr | iptables-legacy-restore",
  helper: { iptables: true },
});
iptablesTest("whoever empties the tables of iptables", /chains telepresence of iptables/, {
  take: `${BOTH("-t mangle -F")}; ${BOTH("-t mangle -X")}`,
  helper: { iptables: true },
});
takenAway("whoever deletes one rule", /routing rules/, { take: "ip rule del pref 1743" });
takenAway("networkd with rules that it does not know", /routing rules/, {
  take: "for pref in 1741 1742 1742 1743 1744; do ip rule del pref $pref; ip -6 rule del pref $pref; done",
});
takenAway("whoever deletes one route", /routes of the tables/, { take: "ip route del local 10.96.0.0/16 table 29808" });
takenAway("networkd with routes that it does not know", /routes of the tables/, {
  take: "for table in 29808 29809; do ip route flush table $table; done; ip -6 route flush table 29808",
});
takenAway("whoever takes the file over nsswitch.conf away", /laid over .*nsswitch\.conf/, {
  take: "umount /etc/nsswitch.conf",
  played: WITH_MDNS,
});

vpnTest("a route that goes with the loopback, which the kernel tells nobody, is noticed", async ({ machine, log }) => {
  await machine.shell("ip link set lo down; ip link set lo up");
  await until(() => log.some((line) => line.includes("it is made again")), "it is noticed");
  equals(await machine.shell(`python3 -c '${HEARS}'`), "{'Hello from the pod'}");
}, { options: { lookMs: 300 } });

vpnTest("a firewall that empties everything keeps what it makes then", async ({ machine, log }) => {
  const firewall =
    "table inet firewall {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}";
  await machine.shell(`nft -f - <<'END'\nflush ruleset\n${firewall}\nEND`);
  await until(() => log.some((line) => line.includes("it is made again")), "it is noticed");
  equals(await machine.shell("nft list table inet firewall"), firewall);
  equals(await machine.shell(`python3 -c '${HEARS}'`), "{'Hello from the pod'}");
  await machine.shell("nft delete table inet firewall");
}, { options: { lookMs: 300 }, helper: OLD_KERNEL });

const fought: string[] = [];
vpnTest("with who takes it away again and again nobody fights, and the user is told what to do", async (on) => {
  const { machine, log } = on;
  const taking = "ip rule del pref 1743 2>/dev/null || true";
  await until(async () => {
    await machine.shell(taking);
    return fought.length > 1;
  }, "it is given up");
  match(fought[1] ?? "", /takes away again and again .*routing rules.*\. Programs of this machine may not reach the/);
  equals(fought.length, 2);
  equals(log.filter((line) => line.includes("it is made again")).length, 5);
  equals(await machine.shell("ip rule | grep -c 29808 || true"), "0");
}, { options: { say: (line) => void fought.push(line), lookMs: 100 } });

vpnTest("nsswitch.conf cannot be written while a file is laid over it: it would be lost with that", async (on) => {
  const { machine } = on;
  const { code, stderr } = await machine.run("sh", "-c", "echo 'hosts: files' >>/etc/nsswitch.conf");
  equals([code, /Read-only file system/.test(stderr)], [2, true], stderr);
}, { played: WITH_MDNS });

/** How others write resolv.conf, each as it is on some machines. */
const REWRITES: Readonly<Record<string, { resolver: "file" | "symlink" | "bind"; rewrite: string }>> = {
  "dhclient, which puts another file in its place": {
    resolver: "file",
    rewrite: "echo nameserver 192.168.77.3 >/etc/resolv.conf.new; mv /etc/resolv.conf.new /etc/resolv.conf",
  },
  "a script, in place": { resolver: "file", rewrite: "echo nameserver 192.168.77.3 >/etc/resolv.conf" },
  "NetworkManager, behind its symbolic link": {
    resolver: "symlink",
    rewrite: "echo nameserver 192.168.77.3 >/run/resolver/new; mv /run/resolver/new /run/resolver/resolv.conf",
  },
  "who puts a symbolic link in the file's place": {
    resolver: "file",
    rewrite: "echo nameserver 192.168.77.3 >/run/resolver/mine; ln -sf ../run/resolver/mine /etc/resolv.conf",
  },
  "a container's engine, in the mounted file": {
    resolver: "bind",
    rewrite: "echo nameserver 192.168.77.3 >/etc/resolv.conf",
  },
  "who takes the mounted file away": {
    resolver: "bind",
    rewrite: "umount /etc/resolv.conf; echo nameserver 192.168.77.3 >/etc/resolv.conf",
  },
};

for (const [who, { resolver, rewrite }] of Object.entries(REWRITES)) {
  machineTest(`resolv.conf is written by ${who}: that is followed, and stays`, async (machine) => {
    const log: string[] = [];
    const before = otherwise(await machine.state());
    {
      await using _capture = await start(machine, makePod(), log);
      await machine.shell(rewrite);
      await until(() => log.some((line) => line.includes("names 192.168.77.3: ok")), "it is followed");
      await machine.shell("ip route get 192.168.77.3 ipproto udp dport 53 | grep -q 'dev lo'");
    }
    equals(await machine.shell("cat /etc/resolv.conf"), "nameserver 192.168.77.3");
    equals(otherwise(await machine.state()), before);
  }, { resolver });
}

/** A machine's state but for what the other program has made of its resolv.conf. */
function otherwise(state: string): string {
  return state.split("\n").filter((line) => !/resolv\.conf|resolver|^nameserver/.test(line)).join("\n");
}
