import { deepStrictEqual as equals } from "node:assert/strict";
import { dnsFirst, parseResolvConf } from "./resolver_files.ts";

Deno.test("parseResolvConf() reads servers and search list", () => {
  equals(parseResolvConf("# by hand\nnameserver 10.0.0.2 # first\nnameserver fe80::1%eth0\nsearch Corp.example. b\n"), {
    servers: ["10.0.0.2"],
    search: ["corp.example", "b"],
  });
  equals(parseResolvConf("nameserver 127.0.0.53\nsearch .\noptions edns0"), { servers: ["127.0.0.53"], search: [] });
  equals(parseResolvConf(""), { servers: ["127.0.0.1"], search: [] });
});

Deno.test("dnsFirst() puts DNS before what answers in its place, and leaves the rest", () => {
  const cases = {
    "files dns": undefined,
    "files myhostname dns": undefined,
    "files dns mdns4": undefined,
    "files mdns4_minimal [NOTFOUND=return] dns": "files dns mdns4_minimal [NOTFOUND=return]",
    "mymachines resolve [!UNAVAIL=return] files myhostname dns":
      "dns mymachines resolve [!UNAVAIL=return] files myhostname",
    "files mdns [NOTFOUND=return]": "files dns mdns [NOTFOUND=return]",
  };
  for (const [hosts, want] of Object.entries(cases)) {
    equals(
      dnsFirst(`passwd: files\nhosts:   ${hosts}\nnetworks: files\n`),
      want && `passwd: files\nhosts:   ${want}\nnetworks: files\n`,
    );
  }
  equals(dnsFirst("passwd: files\n"), undefined);
});
