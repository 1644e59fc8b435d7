/** vpn-tcp beside the true systemd-resolved and the true mDNS: each goes on as before, and the cluster's names resolve. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { vpnTest } from "./harness.ts";
import { type Machine, type Played, WORLD } from "./played_machine.ts";
import { avahi, resolved, whyNoServices } from "./real_services.ts";

const reason = await whyNoServices();

/** A test of these services, skipped with a line where they cannot run. */
const servicesTest: typeof vpnTest = (name, body, test) => {
  if (reason === undefined) return vpnTest(name, body, test);
  Deno.test({ name: `${name} (skipped: ${reason})`, ignore: true, fn() {} });
};

/** What programs hear by libc, in whatever order nsswitch.conf has; an empty line where a name has no address. */
const ask = async (machine: Machine, ...names: string[]) => {
  const lines = names.map((name) => `echo $(getent ahostsv4 ${name} | sed -n 's/ *STREAM.*//p')`);
  return (await machine.shell(lines.join("\n") + "\necho end")).split("\n").slice(0, -1);
};

const OF_THE_CLUSTER = ["", ".default", ".default.svc", ".default.svc.cluster.local"].map((end) => `helloworld${end}`);
const OF_THE_MACHINE = ["printer.corp.example", "nowhere.example", "localhost", "_gateway"];

const WITH_RESOLVED: Played = {
  hosts: "mymachines resolve [!UNAVAIL=return] files myhostname dns",
  service: resolved(WORLD),
};

servicesTest("systemd-resolved answers what is the machine's, and the cluster what is its", async ({ machine }) => {
  match(await machine.shell("cat /etc/resolv.conf"), /managed by man:systemd-resolved[\s\S]*nameserver 127\.0\.0\.53/);
  equals(await ask(machine, ...OF_THE_CLUSTER), Array(4).fill("10.96.7.7"));
  equals(await ask(machine, ...OF_THE_MACHINE), ["192.168.77.9", "", "127.0.0.1", WORLD]);
  const asked = await machine.asked();
  equals(asked.includes("printer.corp.example 1"), true, "resolved has asked the network's own server");
  equals(asked.filter((each) => each.includes(".svc")), [], "which never heard of the cluster's own");
}, { played: WITH_RESOLVED });

servicesTest("systemd-resolved's list of servers, without its stub, is followed likewise", async ({ machine }) => {
  match(await machine.shell("cat /etc/resolv.conf"), new RegExp(`^nameserver ${WORLD}$`, "m"));
  equals(await ask(machine, ...OF_THE_CLUSTER), Array(4).fill("10.96.7.7"));
  equals((await ask(machine, ...OF_THE_MACHINE)).slice(0, 3), ["192.168.77.9", "", "127.0.0.1"]);
}, {
  played: { ...WITH_RESOLVED, setUp: "ln -sfn ../run/systemd/resolve/resolv.conf /etc/resolv.conf" },
});

/** Asks systemd-resolved by its own protocol, as resolvectl does. */
const BY_VARLINK = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect("/run/systemd/resolve/io.systemd.Resolve")
call = {"method": "io.systemd.Resolve.ResolveHostname", "parameters": {"name": sys.argv[1], "family": socket.AF_INET}}
s.sendall(json.dumps(call).encode() + b"\\0")
data = b""
while b"\\0" not in data: data += s.recv(65536)
said = json.loads(data.split(b"\\0")[0])
print(said.get("error") or [".".join(map(str, each["address"])) for each in said["parameters"]["addresses"]])`;

servicesTest("who asks systemd-resolved by its own protocol hears what it says without us", async ({ machine }) => {
  const hears = (name: string) => machine.shell(`python3 -c '${BY_VARLINK}' ${name}`);
  equals(await hears("printer.corp.example"), "['192.168.77.9']");
  match(await hears("helloworld.default.svc.cluster.local"), /^io\.systemd\.Resolve\./);
}, { played: WITH_RESOLVED });

servicesTest("mDNS answers for the machine's neighbors, and the cluster for its .local", async ({ machine, pod }) => {
  match(
    await machine.shell("cat /etc/nsswitch.conf"),
    /^hosts: files dns mdns4_minimal \[NOTFOUND=return\]$/m,
  );
  equals(await ask(machine, ...OF_THE_CLUSTER), Array(4).fill("10.96.7.7"));
  equals(await ask(machine, "scanner.local", "printer.corp.example"), ["192.168.77.30", "192.168.77.9"]);
  equals(pod.asked.some((each) => each.startsWith("scanner.local.default.svc")), true, "DNS is asked first");
}, {
  played: {
    hosts: "files mdns4_minimal [NOTFOUND=return] dns",
    service: avahi({ "scanner.local": "192.168.77.30" }),
  },
});
