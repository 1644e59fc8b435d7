import { deepStrictEqual as equals, rejects, throws } from "node:assert/strict";
import { FileTree } from "./file_tree.ts";

/** Runs `body` with a directory that has volumes `/a` and `/b/c` (through a symlink), and a secret beside them. */
async function check(body: (tree: FileTree, root: string) => void | Promise<void>): Promise<void> {
  const root = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (const path of ["a", "a/sub", "real", "real/c", "outside"]) await Deno.mkdir(`${root}/${path}`);
    await Deno.writeTextFile(`${root}/outside/secret`, "s");
    await Deno.symlink("real", `${root}/b`);
    await Deno.symlink(`${root}/outside`, `${root}/a/out`);
    await Deno.symlink("../outside/secret", `${root}/a/file`);
    await Deno.symlink("sub", `${root}/a/in`);
    await body(await FileTree.of([`${root}/a`, `${root}/b/c/`, `${root}/none`, "/"]), root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("FileTree.locate() knows the volumes and the way to them, and nothing else", async () => {
  await check((tree, root) => {
    equals(tree.mounts, [`${root}/a`, `${root}/b/c`]);
    equals(tree.locate(`${root}/a`), { kind: "volume", path: `${root}/a`, isRoot: true });
    equals(tree.locate(`${root}/a/x/y`), { kind: "volume", path: `${root}/a/x/y`, isRoot: false });
    equals(tree.locate(`${root}/b/c/x`), { kind: "volume", path: `${root}/real/c/x`, isRoot: false });
    equals(tree.locate(root), { kind: "way", names: ["a", "b"] });
    equals(tree.locate(`${root}/b`), { kind: "way", names: ["c"] });
    equals(tree.locate("/"), { kind: "way", names: [root.split("/")[1] ?? ""] });
    equals(tree.locate("/../.."), tree.locate("/"));
    for (const path of ["/etc", `${root}/outside`, `${root}/a/../outside`, `${root}/ab`, `${root}/real/c`]) {
      throws(() => tree.locate(path), { code: "ENOENT" }, path);
    }
  });
});

Deno.test("FileTree.reach() refuses what leads out of the volumes", async () => {
  await check(async (tree, root) => {
    const table = [
      ["a/sub/new", "entry", `${root}/a/sub/new`],
      ["a/in/new", "entry", `${root}/a/sub/new`],
      ["a/in", "entry", `${root}/a/in`],
      ["a/in", "follow", `${root}/a/sub`],
      ["a/out", "entry", `${root}/a/out`],
      ["a/none", "follow", `${root}/a/none`],
      ["b/c/new", "entry", `${root}/real/c/new`],
    ] as const;
    for (const [path, how, want] of table) equals(await tree.reach(`${root}/${path}`, how), want, path);
    const refused = [
      ["a/out", "follow", "EACCES"],
      ["a/out/secret", "entry", "EACCES"],
      ["a/out/secret", "follow", "EACCES"],
      ["a/out/new", "follow", "EACCES"],
      ["a/file", "follow", "EACCES"],
      ["b", "entry", "EACCES"],
      ["outside/secret", "follow", "ENOENT"],
      ["a/../outside/secret", "follow", "ENOENT"],
      ["a/none/x", "entry", "ENOENT"],
    ] as const;
    for (const [path, how, code] of refused) await rejects(tree.reach(`${root}/${path}`, how), { code }, path);
  });
});

Deno.test("FileTree.targetFor() keeps every symlink below the root of who sees it", async () => {
  await check((tree, root) => {
    const depth = root.split("/").length - 1;
    const up = "../".repeat(depth + 1);
    const table = [
      ["..data/x", "..data/x"],
      ["../b/c", "../b/c"],
      ["sub//./x/", "sub//./x/"],
      ["sub/../x", "x"],
      ["sub/..", "."],
      [`${root}/a/x`, `${up}${root.slice(1)}/a/x`],
      [`${root}/real/c/x`, `${up}${root.slice(1)}/b/c/x`],
      ["/", up],
      ["/etc/passwd", `${up}etc/passwd`],
      ["/etc/../../x", `${up}x`],
      ["../".repeat(20) + "etc", `${up}etc`],
      ["in/../../../../../../../../etc", `${up}etc`],
    ] as const;
    for (const [target, want] of table) equals(tree.targetFor(`${root}/a/link`, target), want, target);
    equals(tree.targetFor("/link", "/etc"), "etc");
    equals(tree.targetFor("/link", "../etc"), "etc");
    equals(tree.targetFor("/link", "/"), ".");
  });
});
