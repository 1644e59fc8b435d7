import { deepStrictEqual as equals, strictEqual as equal } from "node:assert/strict";
import { makePolicy } from "./policy.ts";

Deno.test("makePolicy() hears of the host's new addresses, and forgets old ones", () => {
  let clock = 0;
  let own = ["192.0.2.2"];
  const policy = makePolicy({
    neverProxy: [],
    hostname: "laptop",
    ownAddresses: () => own,
    resolve: () => Promise.resolve([]),
    now: () => clock,
  });
  const verdicts = () => ["192.0.2.2", "192.0.2.9"].map((address) => policy.address(address));
  equals(verdicts(), ["the host's own address", undefined]);
  own = ["192.0.2.9"];
  clock = 500;
  equals(verdicts(), [undefined, "the host's own address"]);
  for (let i = 0; i < 5000; i++) policy.address(`10.1.${i >> 8}.${i & 255}`);
  equals(verdicts(), [undefined, "the host's own address"]);
});

Deno.test("makePolicy() keeps on the host what is the host's, and what is excluded", async (t) => {
  const policy = makePolicy({
    neverProxy: ["203.0.113.5", "198.51.100.0/24", "2001:db8:1::/48", "api.example.com", "::ffff:203.0.113.6"],
    hostname: "Laptop",
    ownAddresses: () => ["127.0.0.1", "192.0.2.2", "fd00::2", "::ffff:192.0.2.3"],
    resolve: () => Promise.resolve(["203.0.113.99", "::ffff:203.0.113.98"]),
  });
  const addresses: [string, string | undefined][] = [
    ["10.96.7.7", undefined],
    ["127.1.2.3", "loopback"],
    ["::1", "loopback"],
    ["0.0.0.0", "loopback"],
    ["192.0.2.2", "the host's own address"],
    ["192.0.2.3", "the host's own address"],
    ["192.0.2.4", undefined],
    ["fd00::2", "the host's own address"],
    ["203.0.113.5", "never proxied"],
    ["203.0.113.6", "never proxied"],
    ["198.51.100.9", "never proxied"],
    ["198.51.101.9", undefined],
    ["2001:db8:1::9", "never proxied"],
    ["2001:db8:2::9", undefined],
  ];
  for (const [address, want] of addresses) await t.step(address, () => equal(policy.address(address), want));
  const names: [string, string | undefined][] = [
    ["laptop", "the host's own name"],
    ["LAPTOP.", "the host's own name"],
    ["localhost", "the host's own name"],
    ["laptop.default", undefined],
    ["API.example.com", "never proxied"],
    ["example.com", undefined],
  ];
  equal(policy.address("203.0.113.99"), undefined);
  for (const [name, want] of names) await t.step(name, async () => equal(await policy.name(name), want));
  await t.step("the addresses of an excluded name, once it was asked for", () => {
    equal(policy.address("203.0.113.99"), "never proxied");
    equal(policy.address("203.0.113.98"), "never proxied");
  });
});
