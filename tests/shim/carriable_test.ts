import { strictEqual as equal } from "node:assert/strict";
import { type CarriableOptions, requireCarriable } from "@/capture/mod.ts";
import { unfold, UserError } from "@/util/mod.ts";

const PATH = Deno.env.get("PATH") ?? "";

Deno.test("requireCarriable() says before the start what the shim cannot be preloaded into", async (t) => {
  const dir = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  try {
    await compile(dir, "static", ["-static"]);
    await compile(dir, "static-pie", ["-static-pie"]);
    await compile(dir, "dynamic", []);
    await Deno.copyFile(`${dir}/dynamic`, `${dir}/setuid`);
    await Deno.chmod(`${dir}/setuid`, 0o4755);
    await Deno.copyFile(`${dir}/dynamic`, `${dir}/setgid`);
    await Deno.chmod(`${dir}/setgid`, 0o2755);
    await write(`${dir}/foreign`, patched(await Deno.readFile(`${dir}/dynamic`), 18, 183));
    await write(`${dir}/narrow`, patched(await Deno.readFile(`${dir}/dynamic`), 4, 1));
    await write(`${dir}/cut`, (await Deno.readFile(`${dir}/dynamic`)).slice(0, 70));
    await write(`${dir}/by-dynamic`, `#!${dir}/dynamic\n`);
    await write(`${dir}/by-static`, `#!${dir}/static -x\n`);
    await write(`${dir}/by-env`, "#!/usr/bin/env -S A=b static -x\n");
    await write(`${dir}/by-script`, `#! ${dir}/by-static\n`);
    await write(`${dir}/by-nothing`, `#!${dir}/absent\n`);
    await write(`${dir}/by-itself`, `#!${dir}/by-itself\n`);
    await write(`${dir}/no-shebang`, "echo hello\n");
    await write(`${dir}/unreadable-mode`, "echo hello\n", 0o644);

    const other = { uid: 12345, gid: 12345 };
    const cases: { name: string; program: string; want: string; options?: Partial<CarriableOptions> }[] = [
      { name: "a dynamic program", program: "dynamic", want: "" },
      { name: "a program of the system", program: "cat", want: "" },
      { name: "a path", program: `${dir}/dynamic`, want: "" },
      {
        name: "a relative path",
        program: "./static",
        want: `Cannot carry "${dir}/./static" by inject-tcp: it is stat`,
      },
      { name: "a name that is nowhere", program: "no-such-program", want: "no-such-program: command not found" },
      { name: "a file that is not executable", program: "unreadable-mode", want: "unreadable-mode: command not found" },
      { name: "a directory", program: "/", want: "/: Is a directory" },
      { name: "an empty word", program: "", want: ": command not found" },
      { name: "a static program", program: "static", want: `Cannot carry "${dir}/static" by inject-tcp: it is static` },
      {
        name: "a static-pie",
        program: "static-pie",
        want: `Cannot carry "${dir}/static-pie" by inject-tcp: it is static`,
      },
      {
        name: "a foreign program",
        program: "foreign",
        want: `Cannot carry "${dir}/foreign" by inject-tcp: it is built`,
      },
      { name: "a 32-bit program", program: "narrow", want: `Cannot carry "${dir}/narrow" by inject-tcp: it is built` },
      {
        name: "a program that is cut off",
        program: "cut",
        want: `Cannot carry "${dir}/cut" by inject-tcp: it is stat`,
      },
      { name: "a script", program: "by-dynamic", want: "" },
      { name: "a text without a shebang", program: "no-shebang", want: "" },
      {
        name: "a script of a static interpreter",
        program: "by-static",
        want: `Cannot carry "${dir}/static", which runs "by-static", by inject-tcp: it is static`,
      },
      {
        name: "a script by env",
        program: "by-env",
        want: `Cannot carry "${dir}/static", which runs "by-env", by inject-tcp: it is static`,
      },
      {
        name: "a script by a script",
        program: "by-script",
        want: `Cannot carry "${dir}/static", which runs "by-script", by inject-tcp: it is static`,
      },
      {
        name: "an interpreter that is not there",
        program: "by-nothing",
        want: `Cannot run "by-nothing": the interpreter "${dir}/absent" of "${dir}/by-nothing" is not there`,
      },
      {
        name: "a script of itself",
        program: "by-itself",
        want: `Cannot run "by-itself": its interpreters are scripts`,
      },
      {
        name: "a setuid program of another user",
        program: "setuid",
        options: { user: other },
        want: `Cannot carry "${dir}/setuid" by inject-tcp: it is setuid`,
      },
      {
        name: "a setgid program of another group",
        program: "setgid",
        options: { user: other },
        want: `Cannot carry "${dir}/setgid" by inject-tcp: it is setgid`,
      },
      {
        name: "a setuid program of ourselves",
        program: "setuid",
        options: { user: { uid: Deno.uid(), gid: Deno.gid() } },
        want: "",
      },
      {
        name: "a program with capabilities",
        program: "dynamic",
        options: { user: other, capabilities: (path) => Promise.resolve(`${path} cap_net_raw=ep\n`) },
        want: `Cannot carry "${dir}/dynamic" by inject-tcp: it has file capabilities`,
      },
    ];
    for (const { name, program, want, options } of cases) {
      await t.step(name, async () => {
        const message = await refusal(program, {
          path: `${dir}:${PATH}`,
          cwd: dir,
          capabilities: () => Promise.resolve(""),
          ...options,
        });
        equal(message.slice(0, want.length || undefined), want);
      });
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

async function refusal(program: string, options: CarriableOptions): Promise<string> {
  try {
    await requireCarriable(program, options);
    return "";
  } catch (error) {
    const [outermost] = unfold(error);
    if (!(outermost instanceof UserError)) throw error;
    return outermost.message;
  }
}

async function compile(dir: string, name: string, flags: readonly string[]): Promise<void> {
  await write(`${dir}/main.c`, "int main(void) { return 0; }\n", 0o644);
  const { code } = await new Deno.Command("gcc", { args: [...flags, `${dir}/main.c`, "-o", `${dir}/${name}`] })
    .output();
  equal(code, 0);
}

async function write(path: string, content: string | Uint8Array, mode = 0o755): Promise<void> {
  await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
  await Deno.chmod(path, mode);
}

function patched(bytes: Uint8Array, offset: number, value: number): Uint8Array {
  bytes[offset] = value;
  return bytes;
}
