import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { probeNamespace } from "./probe.ts";

const HELPER = new TextEncoder().encode("#!/bin/sh\n");

/** Probes on a machine whose helper ends so, and which has these files. */
async function probe(stderr: string, files: Record<string, string> = {}) {
  return await probeNamespace(HELPER, {
    run: () => Promise.resolve({ code: stderr === "" ? 0 : 126, stderr }),
    read: (path) => Promise.resolve(files[path]),
  });
}

Deno.test("probeNamespace() says what forbids a namespace, and what allows it", async (t) => {
  const unshare = "netns: unshare: EPERM: Operation not permitted\n";
  const cases: readonly { name: string; stderr: string; files?: Record<string, string>; want: RegExp }[] = [
    {
      name: "Ubuntu's AppArmor",
      stderr: "netns: uid_map: EPERM: Operation not permitted\n",
      files: { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n" },
      want: /^AppArmor .* To allow them: sudo sysctl -w kernel\.apparmor/,
    },
    {
      name: "Debian's switch",
      stderr: unshare,
      files: { "/proc/sys/kernel/unprivileged_userns_clone": "0\n" },
      want: /^the sysctl kernel\.unprivileged_userns_clone .*=1$/,
    },
    {
      name: "no namespaces at all",
      stderr: "netns: unshare: ENOSPC: No space left on device\n",
      files: { "/proc/sys/user/max_user_namespaces": "0\n" },
      want: /^the sysctl user\.max_user_namespaces/,
    },
    { name: "a container", stderr: unshare, files: { "/.dockerenv": "" }, want: /^this is a container/ },
    {
      name: "a kernel without TPROXY",
      stderr: "netns: nftables: ENOENT: No such file or directory\n",
      want: /^this kernel has no nftables with TPROXY \(nftables: ENOENT\)/,
    },
    { name: "something else", stderr: unshare, want: /^this system forbids a network namespace \(unshare: EPERM\)/ },
    { name: "no words", stderr: "killed", want: /\(killed\)/ },
  ];
  for (const { name, stderr, files, want } of cases) {
    await t.step(name, async () => {
      const verdict = await probe(stderr, files);
      ok(!verdict.allowed);
      match([verdict.reason, ...verdict.hints].join(" "), want);
    });
  }
  await t.step("nothing", async () => equals(await probe(""), { allowed: true }));
  await t.step("no helper for this machine", async () => {
    const verdict = await probeNamespace(undefined);
    ok(!verdict.allowed);
    match(verdict.reason, /there is no helper for/);
  });
});
