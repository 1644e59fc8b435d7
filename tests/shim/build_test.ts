import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { MACHINES, readElf } from "@/capture/mod.ts";
import { buildShim, hasProgram, runToEnd } from "./harness.ts";

/** The youngest glibc whose symbols the shim may need: RHEL 7 has it, and everything after. */
const OLDEST = [2, 17];

const hooks = await Deno.readTextFile(new URL("../../shim/hooks.h", import.meta.url));

async function output(program: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runToEnd([program, ...args], { PATH: Deno.env.get("PATH") ?? "" });
  ok(code === 0, stderr);
  return stdout;
}

async function withShim<T>(variables: readonly string[], use: (path: string) => Promise<T>): Promise<T> {
  const path = await Deno.makeTempFile({ suffix: ".so" });
  try {
    await Deno.writeFile(path, await buildShim(...variables));
    return await use(path);
  } finally {
    await Deno.remove(path);
  }
}

const COMPILERS = ["gcc", "aarch64-linux-gnu-gcc"];

Deno.test("The shim needs no symbol that an old glibc or musl lacks", async (t) => {
  for (const compiler of COMPILERS) {
    await t.step({
      name: compiler,
      ignore: !await hasProgram(compiler),
      fn: () =>
        withShim([`CC=${compiler}`], async (path) => {
          const table = await output("readelf", "-W", "--dyn-syms", path);
          const needed = [...table.matchAll(/ UND (\S+?)@+GLIBC_([\d.]+)/g)];
          ok(needed.length > 10);
          for (const [, symbol = "", version = ""] of needed) {
            const [major = 0, minor = 0] = version.split(".").map(Number);
            ok(major === OLDEST[0] && minor <= (OLDEST[1] ?? 0), `${symbol} needs glibc ${version}`);
            // What _FORTIFY_SOURCE makes of calls whose size it cannot prove; musl has no such functions.
            ok(!/^__\w+_chk$/.test(symbol), `${symbol} is not in musl`);
          }
        }),
    });
  }
});

Deno.test("The shim exports its hooks and nothing else", async () => {
  await withShim([], async (path) => {
    const table = await output("objdump", "-T", path);
    const exported = [...table.matchAll(/ \.text\s+\S+\s+Base\s+(\S+)/g)].map(([, name = ""]) => name).sort();
    const hooked = [...hooks.matchAll(/HOOK\([^,]+, (\w+),/g)].map(([, name = ""]) => name);
    equals(
      exported,
      [...hooked.filter((name) => name !== "name"), "execl", "execle", "execlp", "execv", "execvp"].sort(),
    );
  });
});

Deno.test("Each hook is in the README's table", async () => {
  const readme = await Deno.readTextFile(new URL("../../shim/README.md", import.meta.url));
  for (const [, name = ""] of hooks.matchAll(/HOOK\([^,]+, (\w+),/g)) {
    // The table has a family once: _r, for large files, and what the compiler makes of a checked call.
    const plain = name.replace(/_r$|64$/, "").replace(/^__(\w+?)(64)?_(2|chk)$/, "$1").replace(/^__res_/, "res_");
    match(readme, new RegExp(`\\b${plain}\\b`));
  }
});

Deno.test("The shim is hardened: read-only relocations, bound at start, no executable stack", async () => {
  await withShim([], async (path) => {
    const dynamic = await output("readelf", "-dlW", path);
    match(dynamic, /BIND_NOW/);
    match(dynamic, /GNU_RELRO/);
    match(dynamic, /GNU_STACK.* RW /);
    ok(!/TEXTREL/.test(dynamic));
  });
});

Deno.test("The parts without libc tricks bear anything", async () => {
  const dir = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  try {
    const shim = new URL("../../shim/", import.meta.url).pathname;
    const flags = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-g", "-fno-sanitize-recover=all"];
    const sources = [new URL("pure.c", import.meta.url).pathname, `${shim}line.c`, `${shim}judge.c`, `${shim}paths.c`];
    await output("gcc", ...flags, "-fsanitize=address,undefined", ...sources, "-o", `${dir}/pure`);
    equals(await output(`${dir}/pure`, ""), "all right\n");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("The shim is made for arm64 too", {
  ignore: !await hasProgram("aarch64-linux-gnu-gcc"),
}, async () => {
  const shim = await buildShim("CC=aarch64-linux-gnu-gcc");
  const elf = await readElf((offset, length) => Promise.resolve(shim.slice(offset, offset + length)));
  equals(elf?.machine, MACHINES.aarch64);
  const embedded = JSON.parse(await Deno.readTextFile(new URL("../../build/shims.json", import.meta.url)));
  for (const name of ["aarch64", "aarch64-launcher"]) {
    const bytes = Uint8Array.fromBase64(embedded[name]);
    const inside = await readElf((offset, length) => Promise.resolve(bytes.slice(offset, offset + length)));
    equals(inside?.machine, MACHINES.aarch64, name);
  }
});
