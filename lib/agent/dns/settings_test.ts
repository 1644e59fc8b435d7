import { deepStrictEqual as equals } from "node:assert/strict";
import { candidates, parseHosts, parseResolvConf } from "./settings.ts";

Deno.test("parseResolvConf() reads what a kubelet writes", () => {
  equals(
    parseResolvConf(
      "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n",
    ),
    {
      servers: ["10.96.0.10"],
      search: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
      ndots: 5,
      timeoutMs: 5000,
      attempts: 2,
    },
  );
});

Deno.test("parseResolvConf() has libc's defaults and bounds", () => {
  equals(parseResolvConf(""), { servers: ["127.0.0.1"], search: [], ndots: 1, timeoutMs: 5000, attempts: 2 });
  equals(
    parseResolvConf(
      "; c\nnameserver a # x\nnameserver b\nnameserver c\nnameserver d\nsearch x.\nsearch .\n" +
        "options timeout:99 attempts:99 ndots:99 rotate\n",
    ),
    { servers: ["a", "b", "c"], search: [], ndots: 15, timeoutMs: 30_000, attempts: 5 },
  );
});

Deno.test("candidates() follows ndots, and takes a last dot for the whole name", () => {
  const settings = { ...parseResolvConf("options ndots:2"), search: ["x", "y"] };
  equals(candidates("a.b", settings), ["a.b.x", "a.b.y", "a.b"]);
  equals(candidates("a.b.c", settings), ["a.b.c", "a.b.c.x", "a.b.c.y"]);
  equals(candidates("a.b.", settings), ["a.b"]);
});

Deno.test("parseHosts() has all addresses of a name, and the first name of an address", () => {
  const { addresses, names } = parseHosts(
    "127.0.0.1\tlocalhost\n::1 localhost ip6 # x\n10.1.2.3 Foo.example foo\n#10.9.9.9 no\n",
  );
  equals(addresses.get("localhost"), ["127.0.0.1", "::1"]);
  equals(addresses.get("foo.example"), ["10.1.2.3"]);
  equals(names.get("10.1.2.3"), "Foo.example");
  equals(addresses.has("no"), false);
});
