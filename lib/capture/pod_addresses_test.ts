import { deepStrictEqual as equals } from "node:assert/strict";
import { silentLog } from "@/log/mod.ts";
import { type Family, LookupError } from "@/pod/mod.ts";
import { podAddresses } from "./pod_addresses.ts";

/** A pod whose libc tells one family at a time, as with a hosts file and no `multi on` in host.conf. */
const podOf = (own: Readonly<Record<string, readonly string[]>>) => ({
  lookup(_name: string, { family = "any" }: { readonly family?: Family } = {}) {
    const addresses = own[family === "any" ? "4" : String(family)];
    return addresses === undefined
      ? Promise.reject(new LookupError("EAI_NONAME", "no such name"))
      : Promise.resolve({ addresses: [...addresses] });
  },
});

Deno.test("podAddresses() has the addresses of both families, and none of the pod's loopback or link", async (t) => {
  const cases = [
    { name: "both", own: { 4: ["10.244.1.7"], 6: ["fd00:244::7"] }, want: ["10.244.1.7", "fd00:244::7"] },
    { name: "IPv4 alone", own: { 4: ["10.244.1.7", "127.0.1.1"] }, want: ["10.244.1.7"] },
    { name: "IPv6 alone", own: { 6: ["fd00:244::7", "fe80::1", "::1"] }, want: ["fd00:244::7"] },
    { name: "none", own: {}, want: [] },
  ];
  for (const { name, own, want } of cases) {
    await t.step(name, async () => equals(await podAddresses(podOf(own), "web-1", { log: silentLog }), want));
  }
});
