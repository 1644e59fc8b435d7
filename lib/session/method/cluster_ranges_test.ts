import { deepStrictEqual as equals } from "node:assert/strict";
import { type KubeClient, KubeError, type Resource } from "@/kube/mod.ts";
import { silentLog } from "@/log/mod.ts";
import { findClusterRanges, followServices, rangesInRefusal } from "./cluster_ranges.ts";

/** What a cluster lets see: objects by `resource`, or by `resource of all namespaces`; what is not there is forbidden. */
interface Seen {
  readonly lists: Readonly<Record<string, readonly unknown[]>>;
  /** What the server says to a Service with an impossible address, by that address. */
  readonly refusals?: Readonly<Record<string, string>>;
}

function refuse(status: number, words: string): never {
  throw new KubeError(`Cannot do it: ${words}`, { status, reason: "", words });
}

/** A client of such a cluster. */
function clientOf({ lists, refusals = {} }: Seen): Pick<KubeClient, "list" | "create" | "watch"> & { made: boolean[] } {
  const made: boolean[] = [];
  const find = <T>(resource: Resource<T>, all: boolean | undefined): T[] => {
    const found = lists[`${resource.plural}${all ? " of all namespaces" : ""}`] ?? refuse(403, "forbidden");
    return found.map((object) => resource.parse(object));
  };
  return {
    made,
    list: (resource, where) =>
      Promise.resolve().then(() => ({ items: find(resource, where?.allNamespaces), resourceVersion: "1" })),
    create(_resource, object, options) {
      made.push(options?.dryRun !== true);
      const { clusterIP } = object["spec"] as { clusterIP: string };
      return Promise.reject(
        new KubeError("", { status: 422, reason: "Invalid", words: refusals[clusterIP] ?? "quota exceeded" }),
      );
    },
    async *watch(resource, where) {
      await Promise.resolve();
      for (const object of find(resource, where?.allNamespaces)) yield { type: "ADDED", object };
    },
  };
}

async function find(seen: Seen): Promise<[ranges: string[], from: string[], reallyMade: boolean]> {
  const kube = clientOf(seen);
  const options = { kube, namespace: "default", log: silentLog, signal: new AbortController().signal };
  const { ranges, from } = await findClusterRanges(options);
  return [[...ranges], [...from], kube.made.includes(true)];
}

const service = (clusterIP: string, ...others: string[]) => ({
  metadata: { name: "web" },
  spec: { clusterIP, clusterIPs: [clusterIP, ...others] },
});
const pod = (podIP: string, hostNetwork = false, ...others: string[]) => ({
  metadata: { name: "web" },
  spec: { containers: [], hostNetwork },
  status: { phase: "Running", podIP, podIPs: [podIP, ...others].map((ip) => ({ ip })) },
});
const node = (...podCIDRs: string[]) => ({ metadata: { name: "n" }, spec: { podCIDRs } });

Deno.test("findClusterRanges() asks the best source that may be seen, and makes nothing", async (t) => {
  const refusals = { "198.51.100.1": "failed to allocate IP 198.51.100.1: ... The range of valid IPs is 10.96.0.0/12" };
  const cases: readonly { name: string; seen: Seen; want: [string[], string[]] }[] = [
    {
      name: "everything may be seen, of a cluster of both families",
      seen: {
        lists: {
          servicecidrs: [{ metadata: { name: "kubernetes" }, spec: { cidrs: ["10.96.0.0/16", "fd00:96::/112"] } }],
          nodes: [node("10.244.0.0/24", "fd00:244::/64"), node("10.244.1.0/24")],
          "pods of all namespaces": [
            pod("10.244.0.7"),
            pod("192.168.5.5", true),
            pod("172.20.1.4", false, "fd00:20:1::4"),
          ],
        },
        refusals,
      },
      want: [
        [
          ...["10.96.0.0/16", "fd00:96::/112", "10.244.0.0/24", "fd00:244::/64", "10.244.1.0/24"],
          ...["172.20.1.0/24", "fd00:20:1::/120"],
        ],
        ["ServiceCIDR objects", "podCIDRs of nodes, and pods that are there"],
      ],
    },
    {
      name: "the own namespace alone, of a server before 1.33",
      seen: { lists: { pods: [pod("10.244.3.7"), pod("10.244.9.9")] }, refusals },
      want: [["10.96.0.0/12", "10.244.0.0/20"], ["the API server's refusal in a dry run", "pods that are there"]],
    },
    {
      name: "no Service may be tried",
      seen: { lists: { services: [service("10.43.240.1"), service("10.43.246.209"), service("None")], pods: [] } },
      want: [["10.43.240.0/21"], ["Services that are there", "pods that are there"]],
    },
    { name: "nothing", seen: { lists: {} }, want: [[], ["Services that are there", "pods that are there"]] },
  ];
  for (const { name, seen, want } of cases) await t.step(name, async () => equals(await find(seen), [...want, false]));
});

Deno.test("rangesInRefusal() reads ranges of either family, and nothing else", () => {
  equals(rangesInRefusal("The range of valid IPs is 10.96.0.0/12"), ["10.96.0.0/12"]);
  equals(rangesInRefusal("the range of valid IPs is fd00:96::/112, or 10.0.0.0/8"), ["fd00:96::/112", "10.0.0.0/8"]);
  equals(rangesInRefusal('services "x" is forbidden: exceeded quota 10/10'), []);
});

Deno.test("followServices() tells the addresses of Services, of the own namespace where others may not be seen", async () => {
  const options = { namespace: "default", log: silentLog, signal: new AbortController().signal };
  for (const [place, want] of Object.entries({ "services of all namespaces": 2, services: 2, pods: 0 })) {
    const seen = [service("10.96.0.9", "fd00:96::9"), service("None")];
    const told = await Array.fromAsync(followServices({ ...options, kube: clientOf({ lists: { [place]: seen } }) }));
    equals(told, [["10.96.0.9", "fd00:96::9"], []].slice(0, want));
  }
});
