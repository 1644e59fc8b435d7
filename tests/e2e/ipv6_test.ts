/** In a cluster of both families, IPv6 is as in the pod: names, connections, datagrams, exposed ports; under each method. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { loadKubeconfig, openKubeClient, pods, services } from "@/kube/mod.ts";
import { needing } from "../testkit/needing.ts";
import { ENDPOINT_SLICES, type Shell, UDP_ASK, UDP_ECHO } from "./as_in_pod.ts";
import {
  type Cluster,
  clusterTest,
  inAnotherPod,
  KUBECONFIG,
  NAMESPACE,
  start,
  until,
  withNamespace,
} from "./harness.ts";
import { namespaceTest, shellBy } from "./namespace_harness.ts";
import { beside, vpnTest } from "./vpn_harness.ts";

/** Both addresses of a pod of these fixtures; the second is undefined where the cluster has one family. */
async function addressesOf(app: string, { kube }: Pick<Cluster, "kube">): Promise<[string, string | undefined]> {
  const { items } = await kube.list(pods, { namespace: NAMESPACE, labelSelector: `app=${app}` });
  const { podIPs = [] } = items.find(({ status }) => status.phase === "Running")?.status ?? {};
  const found = podIPs.map(({ ip }) => ip);
  return [found.find((ip) => !ip.includes(":")) ?? "", found.find((ip) => ip.includes(":"))];
}

async function hasIPv6(): Promise<boolean> {
  if (KUBECONFIG === undefined) return false;
  await using kube = openKubeClient(await loadKubeconfig({ env: { KUBECONFIG } }));
  return (await addressesOf("tools", { kube }))[1] !== undefined;
}

const lacks = await hasIPv6() ? undefined : "the cluster has one family";

/**
 * Services `both` and `six` lead to pod helloworld: one with an address of each family, one with IPv6 alone. Endpoints are
 * given by hand, since the pod is in another namespace.
 */
async function makeServices(cluster: Cluster, namespace: string): Promise<void> {
  const addresses = await addressesOf("helloworld", cluster);
  const families = { both: ["IPv4", "IPv6"], six: ["IPv6"] };
  for (const [name, ipFamilies] of Object.entries(families)) {
    const ipFamilyPolicy = name === "both" ? "PreferDualStack" : "SingleStack";
    const spec = { ipFamilyPolicy, ipFamilies, ports: [{ port: 80, targetPort: 8000 }] };
    await cluster.kube.create(services, { metadata: { name, namespace }, spec });
    for (const [at, addressType] of ["IPv4", "IPv6"].entries()) {
      if (!ipFamilies.includes(addressType)) continue;
      await cluster.kube.create(ENDPOINT_SLICES, {
        ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType },
        metadata: { name: `${name}-${at}`, namespace, labels: { "kubernetes.io/service-name": name } },
        endpoints: [{ addresses: [addresses[at]] }],
        ports: [{ port: 8000, protocol: "TCP" }],
      });
    }
  }
}

/** What a command hears of these Services, in lines of which the addresses are taken out. */
async function hearsIPv6(cluster: Cluster, namespace: string, shell: Shell): Promise<void> {
  await makeServices(cluster, namespace);
  const [, pod = ""] = await addressesOf("helloworld", cluster);
  const said = await shell(`
for name in six both; do for i in $(seq 40); do getent ahostsv6 $name.${namespace} >/dev/null && break; sleep 0.5; done; done
six=$(getent ahostsv6 six.${namespace} | cut -d' ' -f1 | head -1)
both=$(getent ahostsv6 both.${namespace} | cut -d' ' -f1 | head -1)
echo "$six $both" | grep -Eqx "[0-9a-f]*:[0-9a-f:]+ [0-9a-f]*:[0-9a-f:]+" && echo addresses
getent ahostsv4 six.${namespace} || echo no IPv4
getent ahostsv4 both.${namespace} | grep -qE "^[0-9]+[.]" && echo IPv4
for i in $(seq 20); do curl -sS --max-time 5 http://six.${namespace} >/dev/null 2>&1 && break; sleep 0.5; done
for url in six.${namespace} six.${namespace}.svc.cluster.local both.${namespace} "[$six]" "[$both]"
do curl -sS --max-time 20 "http://$url" | grep -c '<h1>Hello, world!'; done
curl -4sS --max-time 20 http://both.${namespace} | grep -c '<h1>Hello, world!'
curl -6sS --max-time 20 http://both.${namespace} | grep -c '<h1>Hello, world!'
python3 -c '${ASK}' ${namespace} "$six" ${pod}`);
  equals(said.split("\n"), [
    ...["addresses", "no IPv4", "IPv4"],
    ...Array(7).fill("1"),
    ...["peer True", "own True", "refused", "AAAA 0 1", "A of six 0 0", `PTR six.${namespace}.svc.cluster.local`],
  ], said);
}

/** What only a program of its own can ask: whose address the other end has, a refusal's errno, records. */
const ASK = `
import errno, ipaddress, socket, struct, sys
namespace, six, pod = sys.argv[1:]
s = socket.create_connection(("six." + namespace, 80))
print("peer", ipaddress.ip_address(s.getpeername()[0]) == ipaddress.ip_address(six))
print("own", s.family == socket.AF_INET6 and ":" in s.getsockname()[0])
s = socket.socket(socket.AF_INET6); code = s.connect_ex((pod, 1)); print("refused" if code == errno.ECONNREFUSED else code)
server = (open("/etc/resolv.conf").read().split("nameserver ")[1].split()[0], 53)
def count(name, kind):
    q = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\\0" + struct.pack("!HH", kind, 1)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10); s.sendto(q, server); m = s.recv(65535)
    return m[3] & 15, struct.unpack("!H", m[6:8])[0]
print("AAAA", *count("six." + namespace + ".svc.cluster.local", 28))
print("A of six", *count("six." + namespace + ".svc.cluster.local", 1))
print("PTR", socket.gethostbyaddr(six)[0])
`;

/** Datagrams of IPv6 go to a pod and back. */
async function echoes(cluster: Cluster, shell: Shell): Promise<void> {
  const [, address = ""] = await addressesOf("tools", cluster);
  const [said] = await Promise.all([
    shell(`python3 -c '${UDP_ASK}' ${address}`),
    inAnotherPod(cluster, "timeout", "40", "python3", "-c", UDP_ECHO),
  ]);
  equals(said, "echo of one, echo of two");
}

for (const [test, method] of [[namespaceTest, "namespace"], [clusterTest, "inject-tcp"]] as const) {
  needing(lacks, test)(`${method}: an IPv6 Service and one of both families are as in the pod`, async (cluster) => {
    await withNamespace(cluster, "six", (namespace) => hearsIPv6(cluster, namespace, shellBy(cluster, method)));
    await echoes(cluster, shellBy(cluster, method));
  });
}

needing(lacks, vpnTest)(
  "vpn-tcp: an IPv6 Service and one of both families are as in the pod, and their ranges are found",
  async (on) => {
    const { cluster, machine } = on;
    await withNamespace(cluster, "six", async (namespace) => {
      const ended = await beside(on, [], async () => {
        await hearsIPv6(cluster, namespace, machine.shell);
        await echoes(cluster, machine.shell);
        const [, pod = ""] = await addressesOf("helloworld", cluster);
        match(await machine.shell(`curl -sS --max-time 20 'http://[${pod}]:8000/'`), /<h1>Hello, world!/);
      });
      match(ended.stderr, /these go to the cluster: [\d./]+, [0-9a-f:]+:\/\d+, [\d./]+, [0-9a-f:]+\/\d+ \(/);
    });
  },
);

needing(lacks, clusterTest)("an exposed port is reached by the pod's IPv6 address", async (cluster) => {
  await Deno.writeTextFile(`${cluster.directory}/here.txt`, "served here\n");
  await withNamespace(cluster, "six", async (namespace) => {
    const server = "python3 -m http.server 18086 --bind 127.0.0.1 >/dev/null 2>&1 & echo ready >&2; read _; kill $!";
    const words = ["--namespace", namespace, "--new-deployment", "exposed", "--expose", "18086:8086"];
    await using running = start(cluster, [...words, "--run", "sh", "-c", server]);
    await running.said(/^ready$/m);
    const { items: [pod] } = await cluster.kube.list(pods, { namespace });
    const address = pod?.status.podIPs.map(({ ip }) => ip).find((ip) => ip.includes(":"));
    await until("another pod gets the file", async () => {
      const { stdout } = await inAnotherPod(cluster, "curl", "-sS", `http://[${address}]:8086/here.txt`);
      return stdout === "served here\n";
    });
    equals((await running.ended()).code, 0);
  });
});
