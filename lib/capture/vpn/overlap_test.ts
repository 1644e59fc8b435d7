import { deepStrictEqual as equals, throws } from "node:assert/strict";
import { UserError } from "@/util/mod.ts";
import { parseRoutes, requireNoOverlap } from "./overlap.ts";
import { parseRange } from "./ranges.ts";

/** What comes of the cluster's 10.96.0.0/16 on a machine with these routes. */
function judge(routes: string, ...never: string[]): string[] | string {
  const ranges = (texts: readonly string[]) => texts.flatMap((text) => parseRange(text) ?? []);
  try {
    return requireNoOverlap(ranges(["10.96.0.0/16", "fd00:96::/112"]), parseRoutes(routes), ranges(never));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [error.message, ...error.hints].join("\n");
  }
}

Deno.test("requireNoOverlap() lets pass what leaves this machine its own", () => {
  equals(judge("0.0.0.0/0 254 eth0 via\n192.168.1.0/24 254 eth0 link\n::/0 254 eth0 via\n"), []);
  equals(judge("0.0.0.0/1 254 tun0 via\n128.0.0.0/1 254 tun0 tunnel\n"), [], "a VPN that is the default route");
  equals(judge("10.96.4.0/24 254 eth0 link", "10.96.4.0/22"), [], "what is never proxied");
  equals(judge("10.96.0.0/16 254 lo link"), []);
});

Deno.test("requireNoOverlap() tells of a wider route, which keeps what the range leaves of it", () => {
  equals(judge("10.0.0.0/8 254 tun0 tunnel"), [
    "10.96.0.0/16 of the cluster is within 10.0.0.0/8 a route of a VPN, by tun0: for this session it means the cluster",
  ]);
});

Deno.test("requireNoOverlap() refuses to take a network away, and says what to do", async (t) => {
  const refused = {
    "a subnet within": "10.96.4.0/24 254 eth0 link",
    "a subnet around": "10.0.0.0/8 254 eth0 link",
    "a subnet of IPv6": "fd00:96::/64 254 eth0 link",
    "a VPN's route of the same size": "10.96.0.0/16 52 wg0 tunnel",
    "a narrower route": "10.96.4.0/24 254 eth0 via",
  };
  for (const [name, routes] of Object.entries(refused)) {
    await t.step(name, () => {
      const told = judge(routes);
      equals(typeof told, "string");
      equals(
        /^Cannot use --method vpn-tcp: \S+ of the cluster is also .*\n--never-proxy \S+\/\d+ leaves/.test(String(told)),
        true,
        String(told),
      );
    });
  }
  await t.step("the hint is the part that both have", () => {
    equals(
      String(judge(refused["a subnet around"])).split("\n")[1],
      "--never-proxy 10.96.0.0/16 leaves that to this machine",
    );
    equals(
      String(judge(refused["a subnet within"])).split("\n")[1],
      "--never-proxy 10.96.4.0/24 leaves that to this machine",
    );
  });
});

Deno.test("parseRoutes() takes no line that is none", () => {
  equals(parseRoutes("junk\n10.0.0.0/8 254 eth0 sideways\n\n"), []);
  throws(() => requireNoOverlap([{ base: "10.0.0.0", bits: 8 }], parseRoutes("10.0.0.0/8 254 e via"), []), UserError);
});
