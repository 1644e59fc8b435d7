/**
 * `--method vpn-tcp` of the built program on a real cluster, on machines that are played: every program there is
 * carried, everything else is as before, and whatever ends the session, the machine is byte for byte as it was.
 */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { isMachineLeft } from "@/capture/mod.ts";
import type { Played } from "../vpn/played_machine.ts";
import {
  buildGet,
  digs,
  hearsEcho,
  hearsRecords,
  hearsRecordsByGo,
  isHere,
  NAMES,
  NODE_GET,
  PAGE,
  reachesServices,
} from "./as_in_pod.ts";
import { PROGRAM, type Running, start, until, withNamespace } from "./harness.ts";
import { beside, startOn, vpnTest, WAIT } from "./vpn_harness.ts";

vpnTest("every program of the machine reaches the cluster by each name, and everything else as before", async (on) => {
  const { machine, cluster } = on;
  const get = await buildGet(cluster);
  const hasNode = await isHere("node");
  const ended = await beside(on, [], async () => {
    const ways = [
      ...NAMES.map((name) => `curl -sS --max-time 20 http://${name}`),
      ...NAMES.map((name) => `busybox wget -q -O - http://${name}`),
      ...NAMES.map((name) =>
        `python3 -c 'import urllib.request as r; print(r.urlopen("http://${name}").read().decode())'`
      ),
      ...(get === undefined ? [] : NAMES.map((name) => `${get} ${name}`)),
      ...(hasNode ? [`node -e '${NODE_GET}'`] : []),
      `curl -sS http://$(getent ahostsv4 helloworld.default | cut -d" " -f1 | head -1)`,
    ];
    for (const way of ways) match(await machine.shell(way), PAGE, way);
    equals(await machine.shell("curl -sS http://www.public.example"), "of the world");
    equals(await machine.shell("getent ahostsv4 printer.corp.example | cut -d' ' -f1 | head -1"), "192.168.77.9");
    equals((await machine.run("curl", "-sS", "http://nosuchservice.default")).code, 6); // CURLE_COULDNT_RESOLVE_HOST
    await hearsEcho(cluster, machine.shell);
    await hearsRecords(machine.shell);
    if (get !== undefined) await hearsRecordsByGo(get, machine.shell);
    const ofTheMachine = {
      "TXT printer.corp.example": "status: NOERROR",
      "A printer.corp.example": "status: NOERROR A",
    };
    await digs(machine.shell, ofTheMachine);
  });
  match(ended.stderr, /these go to the cluster: 10\.113\.0\.0\/20, .*\(ServiceCIDR objects; pods that are there\)/);
});

vpnTest(
  "Services that come later, headless ones, an ExternalName and hosts of --also-proxy are reached",
  async (on) => {
    const { machine, cluster } = on;
    await withNamespace(cluster, "vpn", async (namespace) => {
      await beside(on, ["--also-proxy", "kubernetes.default.svc", "--also-proxy", "203.0.113.7/24"], async () => {
        await reachesServices(cluster, namespace, machine.shell);
        match(await machine.shell("curl -ksS https://kubernetes.default.svc/version"), /gitVersion/);
        equals(await machine.shell("ip route get 203.0.113.200 | grep -o 'dev lo'"), "dev lo");
      });
    });
  },
);

vpnTest(
  "an exposed port reaches the command, and the way to the cluster is never led there, whatever is asked for",
  async ({ machine, cluster }) => {
    await Deno.writeTextFile(`${cluster.directory}/here.txt`, "served on the machine\n");
    const words = ["--new-deployment", "on-machine", "--expose", "18090:8090", "--run", "sh", "-c"];
    const command = "python3 -m http.server 18090 >/dev/null 2>&1 & echo ready >&2; read _; kill $!";
    const wide = ["--method", "vpn-tcp", "--also-proxy", "10.0.0.0/8", "--also-proxy", "0.0.0.0/0"]; // the API server is in it
    await using running = startOn(machine, cluster, ...wide, ...words, command);
    await running.said(/^ready$/m);
    await until("the Service leads to the command", async () => {
      const { stdout } = await machine.run("curl", "-sS", "--max-time", "5", "http://on-machine.default:8090/here.txt");
      return stdout === "served on the machine\n";
    });
    const { hostname } = new URL(cluster.kube.config.server);
    equals(await machine.shell(`ip route get ${hostname} | grep -o 'dev [a-z]*'`), "dev wire");
    equals(await machine.shell("ip route get 10.99.9.9 | grep -o 'dev [a-z]*'"), "dev lo");
    equals((await running.ended()).code, 0);
  },
);

vpnTest("a subnet of the machine within the cluster's ranges is told before anything is made", async (on) => {
  const { machine, cluster } = on;
  const before = await machine.state();
  const { code, stderr } = await startOn(machine, cluster, "--method", "vpn-tcp", "--run", "true").ended();
  equals(code, 255);
  match(stderr, /10\.113\.0\.0\/20 of the cluster is also 10\.113\.4\.0\/24 a network of this machine's, on wire/);
  match(stderr, /--never-proxy 10\.113\.4\.0\/24 leaves that to this machine/);
  match(stderr, /--method namespace and --method inject-tcp carry one command/);
  equals(/Starting network proxy/.test(stderr), false, stderr);
  equals(await machine.state(), before);
  await beside(on, ["--never-proxy", "10.113.4.0/24"], async () => {
    match(await machine.shell("curl -sS http://helloworld.default"), PAGE);
    equals(await machine.shell("ip route get 10.113.4.9 | grep -o 'dev [a-z]*'"), "dev wire");
  });
}, { setUp: "ip address add 10.113.4.1/24 dev wire" });

vpnTest("another VPN keeps all but the cluster, the way to it included", async (on) => {
  await beside(on, [], async () => {
    match(await on.machine.shell("curl -sS http://helloworld.default"), PAGE);
    equals(await on.machine.shell("ip route get 8.8.8.8 | grep -o 'dev [a-z]*'"), "dev vpn");
    const { hostname } = new URL(on.cluster.kube.config.server);
    equals(await on.machine.shell(`ip route get ${hostname} | grep -o 'dev [a-z]*'`), "dev vpn");
  });
}, { vpn: true });

const RESOLVERS: Readonly<Record<string, Played>> = {
  "as systemd-resolved has it": {
    resolver: "symlink",
    resolvConf: "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n",
    stub: "127.0.0.53",
    hosts: "mymachines resolve [!UNAVAIL=return] files myhostname dns",
  },
  "read-only, with mDNS": { resolver: "read-only", hosts: "files mdns4_minimal [NOTFOUND=return] dns" },
};

for (const [what, played] of Object.entries(RESOLVERS)) {
  vpnTest(`names of the cluster and of the machine's network resolve with a resolver ${what}`, async (on) => {
    await beside(on, [], async () => {
      for (const name of NAMES) match(await on.machine.shell(`curl -sS http://${name}`), PAGE);
      equals(await on.machine.shell("getent ahostsv4 printer.corp.example | cut -d' ' -f1 | head -1"), "192.168.77.9");
    });
  }, played);
}

/** Ways to end a session, and the exit code that the program has then, where it can have one. */
const ENDS: readonly { name: string; end: (running: Running) => void | Promise<void>; code?: number }[] = [
  { name: "the command ends", end: ({ stdin }) => stdin.close(), code: 0 },
  { name: "Ctrl-C", end: (running) => running.kill("SIGINT"), code: 130 },
  { name: "SIGTERM", end: (running) => running.kill("SIGTERM"), code: 143 },
  { name: "SIGHUP", end: (running) => running.kill("SIGHUP"), code: 129 },
  { name: "kill -9", end: (running) => running.kill("SIGKILL") },
];

const SOMETHING_OF_EACH: Played = { resolver: "symlink", hosts: "files mdns4_minimal [NOTFOUND=return] dns" };

vpnTest("whatever ends the session, rules, routes, resolver files and mounts are as they were", async (on) => {
  const { machine, cluster } = on;
  const before = await machine.state();
  for (const { name, end, code } of ENDS) {
    // Its standard input is closed at the end of all tests alike; a signal is to come first.
    const command = name === "the command ends" ? WAIT : "echo ready >&2; exec sleep 600";
    await using running = startOn(machine, cluster, "--method", "vpn-tcp", "--run", "sh", "-c", command);
    await running.said(/^ready$/m);
    match(await machine.state(), /table inet telepresence[\s\S]*lookup 29808[\s\S]*nsswitch/, name);
    await end(running);
    const ended = await running.ended();
    if (code !== undefined) equals(ended.code, code, `${name}: ${ended.stderr}`);
    await until(`the machine is as it was after: ${name}`, async () => await machine.state() === before)
      .catch(async () => equals(await machine.state(), before, name));
  }
}, SOMETHING_OF_EACH);

vpnTest("when everything is killed at once, telepresence recover gives the machine back", async (on) => {
  const { machine, cluster } = on;
  const before = await machine.state();
  await using running = startOn(machine, cluster, "--method", "vpn-tcp", "--run", "sh", "-c", WAIT);
  await running.said(/^ready$/m);
  const guardian = Number(/pid (\d+)/.exec(await machine.shell("cat /run/telepresence-vpn-*"))?.[1]);
  const relay = Number(await Deno.readTextFile(`/proc/${guardian}/task/${guardian}/children`));
  for (const pid of [guardian, running.pid]) Deno.kill(pid, "SIGSTOP");
  for (const pid of [relay, guardian, running.pid]) Deno.kill(pid, "SIGKILL");
  await running.ended();
  match(await machine.state(), /lookup 29808/);
  const recovered = await startOn(machine, cluster, "recover").ended();
  equals(recovered.code, 0, recovered.stderr);
  match(recovered.stderr, /Gave back this machine's routes and firewall rules/);
  await until("the machine is as it was", async () => await machine.state() === before)
    .catch(async () => equals(await machine.state(), before));
  equals(await isMachineLeft(), false, "the real machine was never touched");
}, SOMETHING_OF_EACH);

vpnTest(
  "while the session is stopped the machine has its own names, and then those of the cluster again",
  async (on) => {
    const { machine, cluster } = on;
    const before = await machine.state();
    await using running = startOn(machine, cluster, "--method", "vpn-tcp", "--run", "sh", "-c", WAIT);
    await running.said(/^ready$/m);
    const carried = await machine.state();
    Deno.kill(running.pid, "SIGSTOP");
    try {
      match(await machine.shell("timeout 60 getent ahostsv4 www.public.example"), /^192\.168\.77\.1 /);
      equals(await machine.state(), carried, "nothing is given back");
    } finally {
      Deno.kill(running.pid, "SIGCONT");
    }
    await running.said(/This session was stopped: meanwhile this machine's own servers alone answered for names/);
    match(await machine.shell(`curl -sS --max-time 60 http://${NAMES[0]}`), PAGE);
    equals((await running.ended()).code, 0);
    equals(await machine.state(), before, "the machine is as it was");
  },
);

vpnTest("when its pod is deleted, every program of the machine goes on with the next one", async (on) => {
  const { machine, cluster } = on;
  const before = await machine.state();
  await using running = startOn(machine, cluster, "--method", "vpn-tcp", "--run", "sh", "-c", WAIT);
  await running.said(/^ready$/m);
  match(await machine.shell(`curl -sS http://${NAMES[0]}`), PAGE);
  const { pods } = await import("@/kube/mod.ts");
  const [, name = ""] = /Connecting to the agent in pod (\S+)/.exec(running.heard()) ?? [];
  await cluster.kube.delete(pods, { namespace: cluster.namespace, name }, { gracePeriodSeconds: 0 });
  await running.said(/Connected to the proxy's pod/);
  for (const name of NAMES) match(await machine.shell(`curl -sS --max-time 20 http://${name}`), PAGE, name);
  await hearsRecords(machine.shell);
  equals((await running.ended()).code, 0);
  equals(await machine.state(), before, "the machine is as it was");
});

vpnTest("one vpn-tcp on a machine, and any number of the others beside it", async (on) => {
  const { machine, cluster } = on;
  await beside(on, [], async () => {
    const second = await startOn(machine, cluster, "--method", "vpn-tcp", "--run", "true").ended();
    equals(second.code, 255);
    match(second.stderr, /another session has this machine \(process \d+\), and there is one/);
    const ask = ["--run", "sh", "-c", "for i in 1 2 3; do curl -sS http://helloworld.default; done"];
    const methods = ["namespace", "namespace", "inject-tcp"];
    const ended = await Promise.all(
      methods.map((method) => startOn(machine, cluster, "--logfile", "/dev/null", "--method", method, ...ask).ended()),
    );
    for (const { code, stdout, stderr } of ended) {
      equals(code, 0, stderr);
      equals(stdout.match(/<h1>Hello, world!/g)?.length, 3);
    }
    match(await machine.shell("curl -sS http://helloworld.default"), PAGE);
  });
});

vpnTest("without root, sudo is asked for a small process, and the program itself stays the user's own", async (on) => {
  const { machine, cluster } = on;
  if (!await isHere("sudo")) return;
  const nobody = 65534;
  const kubeconfig = `${cluster.directory}/kubeconfig`;
  await Deno.copyFile(cluster.kubeconfig, kubeconfig);
  for (const path of [cluster.directory, cluster.state, kubeconfig]) await Deno.chown(path, nobody, nobody);
  const asNobody = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"];
  const startAsNobody = (...words: string[]) =>
    start({ ...cluster, kubeconfig, env: { HOME: cluster.state } }, words, {
      program: [...machine.enter, "env", "-C", cluster.directory, ...asNobody, PROGRAM],
    });
  const before = await machine.state();
  const refused = await startAsNobody("--method", "vpn-tcp", "--run", "true").ended();
  equals(refused.code, 255);
  match(refused.stderr, /until the session ends: sudo may ask you\./);
  match(refused.stderr, /Cannot use --method vpn-tcp: it needs root for a helper process: .*password/);
  equals(lessSudo(await machine.state()), lessSudo(before));

  await machine.shell("mkdir -p /etc/sudoers.d; echo 'nobody ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/developer");
  await using running = startAsNobody(
    "--method",
    "vpn-tcp",
    "--run",
    "sh",
    "-c",
    "id -u >&2; echo ready >&2; read _; true",
  );
  await running.said(/^ready$/m);
  match(running.heard(), new RegExp(`^${nobody}$`, "m"));
  const guardian = /pid (\d+)/.exec(await machine.shell("cat /run/telepresence-vpn-*"))?.[1];
  const userOf = async (pid: string | number) =>
    /^Uid:\t(\d+)/m.exec(await Deno.readTextFile(`/proc/${pid}/status`))?.[1];
  equals([await userOf(guardian ?? ""), await userOf(running.pid)], ["0", String(nobody)]);
  match(await machine.shell("curl -sS http://helloworld.default"), PAGE);
  running.kill("SIGKILL");
  await running.ended();
  await until("the machine is as it was", async () => lessSudo(await machine.state()) === lessSudo(before))
    .catch(async () => equals(lessSudo(await machine.state()), lessSudo(before)));
});

/** What sudo itself keeps on /run is its own. */
const lessSudo = (state: string) => state.split("\n").filter((line) => line !== "sudo").join("\n");
