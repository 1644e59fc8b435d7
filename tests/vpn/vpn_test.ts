/** `--method vpn-tcp` on a played machine, whose pod is a table. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { DialError, type DnsAnswer, type ErrnoName, LookupError } from "@/pod/mod.ts";
import { noAnswer, playing, READ, staysOwn, until, vpnTest } from "./harness.ts";

vpnTest("every program of the machine reaches the cluster by address and by name", async ({ machine, pod }) => {
  const script = `${READ}
for host in "10.96.7.7", "fd00:96::7", "helloworld", "helloworld.default", "helloworld.default.svc", "helloworld.default.svc.cluster.local", "web.other":
    print(read(host))`;
  equals((await machine.run("python3", "-c", script)).stdout.trim().split("\n"), Array(7).fill("Hello from the pod"));
  equals(pod.dials.includes("10.96.8.8 80"), true, pod.dials.join());
});

vpnTest(
  "connect() fails as it fails in the pod, and what nobody names stays where it was",
  async ({ machine, pod }) => {
    const codes = {
      "10.96.7.7 1": "ECONNREFUSED",
      "10.96.7.7 2": "EHOSTUNREACH",
      "10.96.7.7 3": "ENETUNREACH",
    } as const;
    const dial = pod.dial;
    Object.assign(pod, {
      dial: (to: { host: string; port: number }, options: object) => {
        const code = (codes as Record<string, ErrnoName>)[`${to.host} ${to.port}`];
        return code === undefined ? dial(to, options) : Promise.reject(new DialError(code, code));
      },
    });
    const script = `${READ}
for port in 1, 2, 3: print(read("10.96.7.7", port))
print(read("www.public.example"))
print(read("192.168.77.1"))`;
    equals((await machine.shell(`python3 -c '${script}'`)).split("\n"), [
      ...["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"],
      ...["of the world", "of the world"],
    ]);
    equals(pod.dials, []);
  },
);

vpnTest("datagrams go through the pod, over IPv4 and IPv6, connected and not", async ({ machine }) => {
  const script = `
import socket
for family, host in (socket.AF_INET, "10.96.7.7"), (socket.AF_INET6, "fd00:96::7"):
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(5)
    for word in b"one", b"two":
        s.sendto(word, (host, 9999)); print(s.recvfrom(100)[0].decode())
    c = socket.socket(family, socket.SOCK_DGRAM); c.settimeout(5); c.connect((host, 9999)); c.send(b"three")
    print(c.recv(100).decode(), c.getpeername()[1])`;
  equals(
    (await machine.shell(`python3 -c '${script}'`)).split("\n"),
    Array(2).fill(["ONE", "TWO", "THREE 9999"]).flat(),
  );
});

/** getent for a name, or its exit status. */
const ask = (name: string) => `getent ahostsv4 ${name} | sed -n 's/ *STREAM.*//p' || true`;

vpnTest(
  "names of the developer's own network are answered by its own server, byte for byte",
  async ({ machine, pod }) => {
    equals(await machine.shell(ask("printer.corp.example")), "192.168.77.9");
    equals(await machine.shell(ask("www.public.example")), "192.168.77.1");
    const query = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
s.sendto(bytes.fromhex("abcd01000001000000000000") + b"\\x07printer\\x04corp\\x07example\\x00\\x00\\xff\\x00\\x01", ("192.168.77.1", 53))
print(s.recv(512).hex())`;
    const before = "abcd81800001000000000000077072696e74657204636f7270076578616d706c650000ff0001";
    equals(await machine.shell(`python3 -c '${query}'`), before);
    equals(pod.asked.filter((each) => /^(printer|www)\S* 1$/.test(each)).sort(), [
      ...["printer.corp.example.default.svc.cluster.local. 1", "printer.corp.example.svc.cluster.local. 1"],
      ...["www.public.example.default.svc.cluster.local. 1", "www.public.example.svc.cluster.local. 1"],
    ]);
  },
);

vpnTest(
  "what only the cluster's server knows comes from there, and its address leads there",
  async ({ machine, pod }) => {
    equals(await machine.shell(ask("db.private.example")), "10.77.0.5");
    equals(await machine.shell(`python3 -c '${READ}\nprint(read("db.private.example"))'`), "Hello from the pod");
    equals(pod.dials, ["10.77.0.5 80"]);
    equals(await machine.shell(ask("nowhere.example")), "");
  },
);

vpnTest("a Service outside of the ranges is reached, once its name was resolved", async ({ machine, pod }) => {
  equals(await machine.shell(`python3 -c '${READ}\nprint(read("far"))'`), "Hello from the pod");
  equals(pod.dials, ["10.200.1.1 80"]);
});

vpnTest("a Service that appears is reached by its address", async ({ machine, log }) => {
  await until(() => log.some((line) => line.includes("capture 10.201.0.7/32: ok")), "it is led to the pod");
  equals(await machine.shell(`python3 -c '${READ}\nprint(read("10.201.0.7"))'`), "Hello from the pod");
}, { options: { later: appearing(["10.201.0.7", "10.96.0.9"]) } });

vpnTest(
  "--also-proxy takes addresses, ranges with host bits, and names with all their addresses",
  async ({ machine, pod }) => {
    const hosts = ["203.0.113.9", "198.51.100.200", "203.0.113.6", "2001:db8:5::1", "db.cloud.example"];
    const script = `${READ}\nfor host in "${hosts.join(" ")}".split(): print(read(host))`;
    equals((await machine.shell(`python3 -c '${script}'`)).split("\n"), Array(5).fill("Hello from the pod"));
    equals(pod.dials.includes("198.51.100.200 80"), true);
  },
  { options: { alsoProxy: ["203.0.113.9", "198.51.100.77/24", "DB.cloud.example."] } },
);

vpnTest("the machine's own addresses stay its own, and its links, whatever ranges they are in", async (on) => {
  await staysOwn(on);
  for (const link of ["224.0.0.251", "169.254.169.254"]) {
    equals(await on.machine.shell(`ip route get ${link} | grep -o "dev [a-z]*"`), "dev wire");
  }
}, { options: { alsoProxy: ["0.0.0.0/0", "::/0"] } });

const moving = { address: "203.0.113.20" };

vpnTest(
  "a host of --also-proxy that moves is followed, without anybody asking for its name",
  async ({ machine, log }) => {
    moving.address = "203.0.113.21";
    await until(
      () => log.some((line) => line.includes("capture 203.0.113.21/32: ok")),
      "its new address is led to the pod",
    );
    equals(await machine.shell(`python3 -c '${READ}\nprint(read("203.0.113.21"))'`), "Hello from the pod");
  },
  {
    options: { alsoProxy: ["moving.example"], namesMs: 100 },
    resolve: (name, type) =>
      name.startsWith("moving.example")
        ? Promise.resolve({
          rcode: 0,
          name: "moving.example",
          records: type === 1
            ? [{ name: "moving.example", ttl: 1, data: { type: "A" as const, address: moving.address } }]
            : [],
          authority: [],
        })
        : undefined,
  },
);

vpnTest(
  "--never-proxy leaves an address, a range and a name within the cluster's ranges alone",
  async ({ machine, pod }) => {
    const where = await machine.shell(
      "for a in 10.96.5.5 10.96.6.77 10.96.9.9 10.96.7.7; do ip route get $a | sed -n 's/^\\(local\\)\\? *\\([0-9.]*\\).*dev \\([a-z]*\\).*/\\2 \\3/p'; done",
    );
    equals(where.split("\n"), ["10.96.5.5 wire", "10.96.6.77 wire", "10.96.9.9 wire", "10.96.7.7 lo"]);
    await machine.shell(ask("helloworld.kept.example"));
    equals(pod.asked.some((each) => each.startsWith("kept.example")), false);
  },
  { options: { neverProxy: ["10.96.5.5", "10.96.6.0/24", "kept.example"] } },
);

vpnTest("a machine without IPv6 reaches what a cluster of both families has of IPv4", async ({ machine }) => {
  equals(await machine.shell(`python3 -c '${READ}\nprint(read("both.default"))'`), "Hello from the pod");
}, {
  played: {
    setUp: "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6",
    resolvConf: "nameserver 192.168.77.1\nnameserver 2001:db8::53\n",
  },
});

vpnTest("ping is not answered in the name of the cluster", async ({ machine }) => {
  const script = `
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP); s.settimeout(1)
packet = struct.pack("!BBHHH", 8, 0, 0xf7fe, 0, 1); s.sendto(packet, ("10.96.7.7", 0))
try:
    while True:
        kind = s.recvfrom(100)[0][20]
        if kind == 0: print("answered"); break
except TimeoutError: print("silence")`;
  equals(await machine.shell(`python3 -c '${script}'`), "silence");
});

vpnTest(
  "a domain of the search list that has every name does not hide a Service",
  async ({ machine }) => {
    equals(await machine.shell(ask("helloworld")), "10.96.7.7");
    equals(await machine.shell(ask("anything.wild.example")), "192.168.77.40");
  },
  {
    played: {
      resolvConf: "search wild.example\nnameserver 192.168.77.1\n",
      names: { "*.wild.example": "192.168.77.40" },
    },
  },
);

vpnTest("names of the machine's own network are held up by no lost tunnel", async ({ machine }) => {
  equals(await machine.shell(ask("printer.corp.example")), "192.168.77.9");
  const answer = await machine.run("python3", "-c", "import socket; socket.getaddrinfo('helloworld.default', 80)");
  match(answer.stderr, /Temporary failure in name resolution/);
}, { resolve: (name) => name.startsWith("kubernetes") ? undefined : noAnswer() });

vpnTest(
  "a cluster that asks this machine for what it does not know makes no loop",
  async ({ machine, log }) => {
    await until(() => log.some((line) => line.includes("asks this machine for names")), "the loop is found");
    equals(await machine.shell(ask("www.public.example")), "192.168.77.1");
    equals(await machine.shell(ask("nowhere.example")), "");
    equals(await machine.shell(ask("helloworld")), "10.96.7.7");
    equals(await machine.shell("getent hosts 10.96.200.200 || echo no name"), "no name");
  },
  { resolve: (name, type) => /cluster\.local\.?$/.test(name) ? undefined : forwarding.ask(name, type) },
);

const later = { forwards: false, failed: 0 };

vpnTest(
  "a cluster that begins to ask this machine in the middle of a session makes no loop either",
  async ({ machine, log }) => {
    await until(() => log.some((line) => line.includes("There is no loop of names")), "it is known that there is none");
    later.forwards = true;
    equals(await machine.shell(ask("nowhere.example")), "");
    equals(log.filter((line) => line.includes("asks this machine for names")).length, 1);
    equals(await machine.shell(ask("helloworld")), "10.96.7.7");
    equals(later.failed, 0, "no question went unanswered");
  },
  {
    resolve: (name, type) =>
      /cluster\.local\.?$/.test(name) || !later.forwards ? undefined : forwarding.ask(name, type).catch((error) => {
        later.failed++;
        throw error;
      }),
  },
);

vpnTest("what CoreDNS asks itself to find a loop is never sent back to it", async ({ machine, pod, log }) => {
  await until(() => log.some((line) => line.includes("There is no loop of names")), "it is known that there is none");
  const { rcode } = await forwarding.ask("5577006791947779410.8674665223082153551.", 13);
  equals(rcode, 3);
  await forwarding.ask("5577006791947779410.8674665223082153551.", 16);
  const asIs = pod.asked.filter((each) => each.startsWith("5577006791947779410") && !each.includes("cluster.local"));
  equals(asIs, ["5577006791947779410.8674665223082153551. 16"], "as any other question is");
  equals(await machine.shell(ask("helloworld")), "10.96.7.7");
});

for (
  const [what, played] of Object.entries(
    {
      "a plain resolv.conf": {},
      "a read-only one": { resolver: "read-only" },
      "a symbolic link": { resolver: "symlink" },
      "one that is mounted": { resolver: "bind" },
      "a name server on this machine, as systemd-resolved is one": {
        resolver: "symlink",
        resolvConf: "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n",
        stub: "127.0.0.53",
      },
    } as const,
  )
) {
  vpnTest(`${what} is not touched, and names resolve`, async ({ machine }) => {
    equals(await machine.shell(`cat /etc/resolv.conf`), played.resolvConf?.trimEnd() ?? "nameserver 192.168.77.1");
    equals(await machine.shell(ask("helloworld.default.svc.cluster.local")), "10.96.7.7");
    equals(await machine.shell(ask("printer.corp.example")), "192.168.77.9");
  }, { played });
}

vpnTest("another name server, as after a change of network, is followed", async ({ machine, log }) => {
  const resolvConf = machine.path("/etc/resolv.conf");
  const { mtime } = await Deno.stat(resolvConf);
  await Deno.writeTextFile(resolvConf, "nameserver 192.168.77.3\n");
  await until(() => log.some((line) => line.includes("names 192.168.77.3: ok")), "it is followed");
  await machine.shell("ip route get 192.168.77.3 ipproto udp dport 53 | grep -q 'dev lo'");
  equals(await machine.shell("ip route get 192.168.77.3 | sed -n 's/.*dev \\([a-z]*\\).*/\\1/p'"), "wire");
  await Deno.writeTextFile(resolvConf, "nameserver 192.168.77.1\n");
  // The minute of its last change belongs to what is compared afterwards, and this change is the test's own.
  if (mtime) await Deno.utime(resolvConf, mtime, mtime);
});

vpnTest(
  "names that end with .local are asked of DNS before mDNS and systemd-resolved answer, and those after it",
  async ({ machine }) => {
    match(
      await machine.shell("cat /etc/nsswitch.conf"),
      /^hosts: files dns mdns4_minimal \[NOTFOUND=return\] resolve$/m,
    );
    const nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    equals(await machine.shell(`${nobody} ${ask("helloworld.default.svc.cluster.local")}`), "10.96.7.7");
    equals(await machine.shell(`${nobody} cat /etc/nsswitch.conf | grep -c dns`), "1");
  },
  { played: { hosts: "files mdns4_minimal [NOTFOUND=return] resolve dns", resolver: "read-only" } },
);

/** A cluster's server that asks the machine, as a node on the machine does; `machine` is known when a session runs. */
const forwarding = {
  ask(name: string, type: number): Promise<DnsAnswer> {
    const [machine] = playing;
    if (machine === undefined) return noAnswer();
    const script = `import socket, struct
q = struct.pack("!HHHHHH", 9, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l.encode() for l in "${
      name.replace(/\.$/, "")
    }".split(".")) + b"\\0" + struct.pack("!HH", ${type}, 1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(4); s.sendto(q, ("192.168.77.1", 53))
print(s.recv(512)[3] & 15)`;
    return machine.run("python3", "-c", script).then(({ stdout }) => {
      if (stdout === "") throw new LookupError("EAI_AGAIN", "no answer");
      return { rcode: Number(stdout), name: name.replace(/\.$/, ""), records: [], authority: [] };
    });
  },
};

async function* appearing(addresses: readonly string[]): AsyncGenerator<readonly string[]> {
  await Promise.resolve();
  yield addresses;
}
