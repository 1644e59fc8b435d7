import { deepStrictEqual as equals, rejects, throws } from "node:assert/strict";
import { duplexPair, writeAll } from "@/util/mod.ts";
import { resolvConf } from "../dns/resolver.ts";
import { nsswitchConf } from "./files.ts";
import { takeFirstLine } from "./first_line.ts";
import { HelperProtocolError, parseAnswer, parseOpening } from "./protocol.ts";
import { routeOf } from "./route.ts";

Deno.test("parseOpening() reads what the relay says, and nothing else", () => {
  const from = { address: "10.244.1.5", port: 40000 };
  equals(parseOpening("tcp 10.96.7.7 80 10.244.1.5 40000"), {
    kind: "tcp",
    to: { address: "10.96.7.7", port: 80 },
    from,
  });
  equals(parseOpening("udp fd00:0:0::7 53 10.244.1.5 40000"), {
    kind: "udp",
    to: { address: "fd00::7", port: 53 },
    from,
  });
  equals(parseOpening("life"), { kind: "life" });
  for (
    const line of [
      "",
      "tcp",
      "tcp a 80 b 1",
      "tcp 1.2.3.4 65536 1.2.3.4 1",
      "life 1",
      "sctp 1.2.3.4 1 1.2.3.4 1",
      "tcp 1.2.3.4 1 1.2.3.4 1 x",
    ]
  ) {
    throws(() => parseOpening(line), HelperProtocolError, line);
  }
  equals(["ok", "ECONNREFUSED", "ENONSENSE"].map(parseAnswer), ["ok", "ECONNREFUSED", "EIO"]);
});

Deno.test("takeFirstLine() leaves what is behind the line, wherever it is cut", async () => {
  const stream = new TextEncoder().encode("life\nbytes");
  for (let cut = 1; cut <= stream.length; cut++) {
    const [relay, ours] = duplexPair();
    const taking = takeFirstLine(ours);
    await writeAll(relay, stream.subarray(0, cut));
    await writeAll(relay, stream.subarray(cut));
    await relay.closeWrite();
    const first = await taking;
    let rest = "";
    const buffer = new Uint8Array(3);
    for (let count; first && (count = await first.rest.read(buffer)) !== null;) {
      rest += new TextDecoder().decode(buffer.subarray(0, count));
    }
    equals([first?.line, rest], ["life", "bytes"]);
  }
});

Deno.test("takeFirstLine() refuses what is no line, and takes an end for none", async () => {
  for (const text of ["x".repeat(200), "\u0001\n"]) {
    const [relay, ours] = duplexPair();
    await writeAll(relay, new TextEncoder().encode(text));
    await rejects(takeFirstLine(ours), HelperProtocolError);
  }
  const [relay, ours] = duplexPair();
  await relay.closeWrite();
  equals(await takeFirstLine(ours), undefined);
});

Deno.test("nsswitchConf() takes names from files and DNS, and keeps the rest", () => {
  const host =
    "passwd: files systemd\nhosts: mymachines resolve [!UNAVAIL=return] files myhostname mdns4_minimal dns\n";
  equals(nsswitchConf(host), "hosts: files myhostname dns\npasswd: files systemd\n");
  equals(nsswitchConf("passwd: files\n"), "hosts: files dns\npasswd: files\n");
  equals(/^nameserver 192\.0\.0\.8$/m.test(resolvConf()), true);
});

Deno.test("routeOf() keeps the host's own on the host, and lets nothing lead back to us", () => {
  const policy = {
    address: (address: string) => address.startsWith("127.") || address === "0.0.0.0" ? "loopback" : undefined,
    name: () => Promise.resolve(undefined),
  };
  const kinds = (address: string, port: number) => routeOf({ address, port }, policy, (each) => each === 8080);
  equals(kinds("10.96.7.7", 80), { kind: "pod", to: { address: "10.96.7.7", port: 80 } });
  equals(kinds("127.0.0.1", 80), { kind: "host", to: { address: "127.0.0.1", port: 80 }, reason: "loopback" });
  equals(kinds("0.0.0.0", 80), { kind: "host", to: { address: "127.0.0.1", port: 80 }, reason: "loopback" });
  equals(kinds("127.0.0.1", 8080).kind, "nowhere");
  equals(kinds("192.0.0.8", 53), { kind: "resolver" });
  equals(kinds("192.0.0.8", 80).kind, "nowhere");
});
