import { placeLauncher } from "@/process/mod.ts";
import { deepStrictEqual as equals, ok, rejects, strictEqual as equal } from "node:assert/strict";
import { writeAll } from "@/util/mod.ts";
import { isNoexec, placeShim } from "./place.ts";

Deno.test("placeShim() writes the shim where only this user enters, and removes it", async () => {
  const parent = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  try {
    {
      await using place = await placeShim(new Uint8Array([1, 2, 3]), [
        `${parent}/absent`,
        `${parent}/has blank`,
        parent,
      ]);
      ok(place.shim.startsWith(`${parent}/telepresence-`));
      equal((await Deno.stat(place.shim)).mode, 0o100755);
      equal((await Deno.stat(place.shim.replace(/\/[^/]*$/, ""))).mode, 0o040700);
      equal((await Deno.readFile(place.shim)).join(), "1,2,3");
    }
    equal((await Array.fromAsync(Deno.readDir(parent))).length, 0);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});

Deno.test("placeShim() names each directory that it cannot use, with the reason", async () => {
  await rejects(
    placeShim(new Uint8Array(1), ["/absent", `/tmp/${"x".repeat(90)}`, "/a b"]),
    /Cannot place the shim: \/absent does not exist; .*too long for a Unix socket; \/a b has a blank/,
  );
});

Deno.test("neither the shim nor the launcher is put where others may replace it", async () => {
  const parent = await Deno.makeTempDir();
  try {
    await Deno.chmod(parent, 0o777);
    await rejects(placeShim(new Uint8Array(1), [parent]), /is one in which others could replace our file/);
    const script = new TextEncoder().encode("#!/bin/sh\n");
    equal(await placeLauncher(script, { directories: [parent] }), undefined);
    await Deno.chmod(parent, 0o1777);
    await using shim = await placeShim(new Uint8Array(1), [parent]);
    await using launcher = await placeLauncher(script, { directories: [parent] });
    equal([shim.directory, launcher?.path].every((path) => path?.startsWith(parent)), true);
    if (Deno.uid() !== 0) return; // who is not root cannot give a directory away
    await Deno.chown(parent, 12345, 12345);
    await rejects(placeShim(new Uint8Array(1), [parent]), /is one in which others could replace our file/);
    equal(await placeLauncher(script, { directories: [parent] }), undefined);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});

Deno.test("placeShim() looks at nothing in somebody else's directory", { ignore: Deno.uid() !== 0 }, async () => {
  const parent = await Deno.makeTempDir();
  try {
    const theirs = `${parent}/telepresence-theirs`;
    await Deno.mkdir(theirs);
    await Deno.writeTextFile(`${theirs}/lock`, "");
    await Deno.chown(theirs, 12345, 12345);
    await using _place = await placeShim(new Uint8Array(1), [parent]);
    equal((await Deno.stat(`${theirs}/lock`)).isFile, true);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});

Deno.test("isNoexec() takes the mount that lies on top", () => {
  const mounts = [
    "22 1 0:1 / / rw,relatime shared:1 - ext4 /dev/vda rw",
    "23 22 0:2 / /tmp rw,nosuid,noexec - tmpfs tmpfs rw",
    "24 23 0:3 / /tmp/a\\040b rw - tmpfs tmpfs rw",
    "25 22 0:4 / /home rw - ext4 /dev/vdb rw",
    "26 25 0:5 / /home rw,noexec - ext4 /dev/vdc rw",
  ].join("\n");
  const cases: [string, boolean][] = [["/tmp", true], ["/tmp/x", true], ["/tmpx", false], ["/tmp/a b/c", false], [
    "/home/x",
    true,
  ]];
  for (const [path, want] of cases) equal(isNoexec(path, mounts), want, path);
  equal(isNoexec("/tmp", ""), false);
});

Deno.test("placeShim() removes what killed sessions left, and nothing of those that live", async () => {
  const parent = await Deno.makeTempDir();
  try {
    for (const name of ["telepresence-dead", "telepresence-young", "other"]) await Deno.mkdir(`${parent}/${name}`);
    for (const name of ["telepresence-dead", "other"]) await Deno.writeTextFile(`${parent}/${name}/lock`, "");
    await using alive = await placeShim(new Uint8Array([2]), [parent]);
    using listener = Deno.listen({ transport: "unix", path: alive.socket });
    const first = listener.accept();
    const place = await placeShim(new Uint8Array([1]), [parent]);
    const names = (await Array.fromAsync(Deno.readDir(parent))).map(({ name }) => `${parent}/${name}`).sort();
    const left = ["other", "telepresence-young"].map((name) => `${parent}/${name}`);
    equals(names, [...left, alive.directory, place.directory].sort());
    await place[Symbol.asyncDispose]();
    // Nobody has looked at the control socket: the first who comes is whom the session waits for.
    using caller = await Deno.connect({ transport: "unix", path: alive.socket });
    await writeAll(caller, new Uint8Array([7]));
    using came = await first;
    equal(await came.read(new Uint8Array(1)), 1);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
});
