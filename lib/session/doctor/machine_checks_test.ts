import { deepStrictEqual as equals } from "node:assert/strict";
import type { Finding } from "./finding.ts";
import { checkMethods, checkNames, checkVolumes, type Machine } from "./machine_checks.ts";

const NOTHING = new Uint8Array(1);

/** A machine on which everything works, but for what is given. */
function machineWith(
  { files = {}, netnsSays = "", shellSays = "", ...rest }: Partial<Machine> & {
    readonly files?: Readonly<Record<string, string>>;
    readonly netnsSays?: string;
    readonly shellSays?: string;
  },
): Machine {
  return {
    shim: NOTHING,
    netns: () => Promise.resolve(NOTHING),
    directories: [Deno.makeTempDirSync()],
    run: ([program]) => {
      const stderr = program === "/bin/sh" ? shellSays : netnsSays;
      return Promise.resolve({ code: stderr === "" ? 0 : 1, stdout: "", stderr });
    },
    read: (path) => Promise.resolve(files[path]),
    whyNoLiveMount: () => Promise.resolve(undefined),
    isRoot: false,
    os: "linux",
    ...rest,
  };
}

function brief({ check, state, says, hints }: Finding): unknown[] {
  return [check, state, says, ...hints];
}

Deno.test("checkMethods(): all methods where everything works", async () => {
  equals((await checkMethods(machineWith({}))).map(brief), [
    ["method inject-tcp", "ok", "a library can be preloaded here"],
    ["method namespace", "ok", "the system allows a network namespace, without root"],
    ["method vpn-tcp", "ok", "the whole machine can be carried, by sudo, which may ask for a password"],
  ]);
});

Deno.test("checkMethods(): why not, and whether another one is left", async (t) => {
  const forbidden = "netns: userns: EPERM: Operation not permitted";
  const appArmor = { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n" };
  const elsewhere = "--method namespace carries every program, where the system allows namespaces";
  const noNamespace = [
    "AppArmor keeps user namespaces from programs without a profile (as on Ubuntu 24.04)",
    "To allow them: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
  ];
  await t.step("AppArmor forbids namespaces: a warning, as inject-tcp is left", async () => {
    const [inject, namespace] = await checkMethods(machineWith({ netnsSays: forbidden, files: appArmor }));
    equals([inject?.state, namespace && brief(namespace)], ["ok", ["method namespace", "warning", ...noNamespace]]);
  });
  await t.step("no library for this machine: a warning, as namespace is left", async () => {
    const [inject, namespace] = await checkMethods(machineWith({ shim: undefined }));
    const why = `there is no preload library for ${Deno.build.os} on ${Deno.build.arch}`;
    equals([inject && brief(inject), namespace?.state], [["method inject-tcp", "warning", why, elsewhere], "ok"]);
  });
  await t.step("a loader that does not take it, and no namespaces: two problems", async () => {
    const shellSays = "ERROR: ld.so: object '/x/shim.so' from LD_PRELOAD cannot be preloaded (failed to map segment)";
    const found = await checkMethods(machineWith({ shellSays, netnsSays: forbidden, files: appArmor }));
    equals(found.slice(0, 2).map(brief), [
      [
        "method inject-tcp",
        "problem",
        `the loader of this system does not take the preload library: ${shellSays}`,
        elsewhere,
      ],
      ["method namespace", "problem", ...noNamespace],
    ]);
  });
  await t.step("no directory that can hold what is needed: its reasons", async () => {
    const found = (await checkMethods(machineWith({ directories: ["/no/such/directory"] }))).slice(0, 2);
    equals(found.map(({ state }) => state), ["problem", "problem"]);
    equals(found.map(({ says }) => says.includes("/no/such/directory")), [true, true], JSON.stringify(found));
  });
});

Deno.test("checkMethods(): none on macOS, each with where there are some", async () => {
  const mac = machineWith({ os: "darwin", shim: undefined, netns: () => Promise.resolve(undefined) });
  const says = "all methods that carry a command are Linux's, and this is macOS";
  const hint = "Run telepresence in a Linux virtual machine, with your kubeconfig in it: telepresence help install";
  equals(
    (await checkMethods(mac)).map(brief),
    ["inject-tcp", "namespace", "vpn-tcp"].map((method) => [`method ${method}`, "problem", says, hint]),
  );
});

Deno.test("checkMethods(): vpn-tcp, where it is built, takes root or sudo and a kernel that can", async (t) => {
  const vpn = async (machine: Machine) => brief((await checkMethods(machine, ["vpn-tcp"]))[2] as Finding).slice(1);
  const instead = "--method namespace and inject-tcp carry a command, without root";
  const run: Machine["run"] = ([program]) => {
    if (program === "sudo") return Promise.reject(new Error("no such program"));
    return Promise.resolve({ code: 0, stdout: "", stderr: "" });
  };
  await t.step("root", async () => {
    equals(await vpn(machineWith({ isRoot: true, run })), ["ok", "the whole machine can be carried, as root"]);
  });
  await t.step("sudo", async () => {
    const says = "the whole machine can be carried, by sudo, which may ask for a password";
    equals(await vpn(machineWith({})), ["ok", says]);
  });
  await t.step("neither", async () => {
    const hint = "Install sudo, or run telepresence as root";
    equals(await vpn(machineWith({ run })), ["warning", "it needs root's rights, and there is no sudo", hint, instead]);
  });
  await t.step("no helper", async () => {
    const says = `there is no helper for ${Deno.build.os} on ${Deno.build.arch}`;
    equals(await vpn(machineWith({ netns: () => Promise.resolve(undefined) })), ["warning", says, instead]);
  });
  await t.step("a kernel without what it takes", async () => {
    const netnsSays = "netns: nftables: EOPNOTSUPP: not supported";
    const says = "this kernel has no nftables with TPROXY (nftables: EOPNOTSUPP)";
    equals(await vpn(machineWith({ isRoot: true, netnsSays })), ["warning", says, instead]);
  });
  await t.step("not built: no line", async () => {
    equals((await checkMethods(machineWith({}), ["inject-tcp", "namespace"])).length, 2);
  });
});

Deno.test("checkVolumes(): a warning with what is to be installed", async () => {
  equals(brief(await checkVolumes(machineWith({}))), [
    "volumes",
    "ok",
    "the pod's volumes can be mounted (FUSE, sshfs)",
  ]);
  const why = "sshfs is not installed (apt-get install sshfs fuse3)";
  equals(brief(await checkVolumes(machineWith({ whyNoLiveMount: () => Promise.resolve(why) }))), [
    "volumes",
    "warning",
    "the pod's volumes are copied, not mounted, as sshfs is not installed",
    "To mount them: sudo apt-get install sshfs fuse3; docs/volumes.md says what copies can do",
  ]);
  const noFuse = "this machine has no FUSE (/dev/fuse)";
  equals(brief(await checkVolumes(machineWith({ whyNoLiveMount: () => Promise.resolve(noFuse) }))), [
    "volumes",
    "warning",
    "the pod's volumes are copied, not mounted, as this machine has no FUSE (/dev/fuse)",
    "docs/volumes.md says what copies can do",
  ]);
});

Deno.test("checkNames(): no name server, or libc does not ask one", async (t) => {
  const table: readonly [string, Record<string, string>, unknown[]][] = [
    ["well", { "/etc/resolv.conf": "search a\nnameserver 10.0.0.1\nnameserver 10.0.0.2\n" }, [
      "ok",
      "10.0.0.1, 10.0.0.2",
    ]],
    ["a stub and nscd", { "/etc/resolv.conf": "nameserver 127.0.0.53\n", "/run/nscd/nscd.pid": "7\n" }, [
      "ok",
      "127.0.0.53 (a resolver of this machine), with nscd's cache in front; a session goes around it",
    ]],
    ["no resolv.conf", {}, [
      "warning",
      "there is no /etc/resolv.conf: an API server or proxy that is given by name is not found",
    ]],
    ["an empty one", { "/etc/resolv.conf": "# nothing\n" }, [
      "warning",
      "/etc/resolv.conf names no name server: an API server or proxy that is given by name is not found",
    ]],
    ["no dns in nsswitch.conf", {
      "/etc/resolv.conf": "nameserver 10.0.0.1\n",
      "/etc/nsswitch.conf": "passwd: files\nhosts: files mdns4_minimal\n",
    }, ["warning", 'the line "hosts: files mdns4_minimal" of /etc/nsswitch.conf does not ask DNS']],
  ];
  for (const [name, files, want] of table) {
    await t.step(name, async () => {
      const { state, says, hints } = await checkNames(machineWith({ files }));
      equals([state, says], want);
      equals(hints.length > 0, state !== "ok", "what is not well has a next step");
    });
  }
});
