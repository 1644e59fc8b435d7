/** Each way to get the program, from a web server that plays the release page; and what cannot be got says why. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { requireProgram, runProgram } from "@/process/mod.ts";
import { installer } from "../../tools/delivery/dist.ts";
import { formula } from "../../tools/delivery/formula.ts";
import { nativeTarget, TARGETS } from "../../tools/delivery/targets.ts";
import { fetchZig } from "../../tools/delivery/zig.ts";
import { messageOf } from "@/util/mod.ts";
import { RELEASES, VERSION } from "../../version.ts";
import { openReleasePage, publishedHere, type ReleasePage } from "./release_page.ts";

const lacking = await whatLacks();
const skipped = lacking === undefined ? "" : ` (skipped: ${lacking})`;
const PATH = Deno.env.get("PATH") ?? "";

async function whatLacks(): Promise<string | undefined> {
  for (const program of ["aarch64-linux-gnu-gcc", "npm", "git"]) {
    if (!await has(program, "--version")) return `${program} is not here`;
  }
  return await fetchZig().then(() => undefined, messageOf);
}

async function has(program: string, word: string): Promise<boolean> {
  return await runProgram([program, word]).then(({ code }) => code === 0, () => false);
}

const ruby = await has("ruby", "--version");

/** Opens a page and a home directory for the test alone. */
async function withPage(body: (page: ReleasePage, home: string) => Promise<void>): Promise<void> {
  await using page = await openReleasePage();
  const home = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  try {
    await body(page, home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test(
  `each way to get the program gets the whole of it${skipped}`,
  { ignore: lacking !== undefined },
  async (t) => {
    await withPage(async (page, home) => {
      const env = { PATH, HOME: home, TELEPRESENCE_RELEASES: page.url };
      const cache = { XDG_CACHE_HOME: `${home}/cache` };
      const install = (more: Record<string, string> = {}) =>
        runProgram(["sh", "-c", `curl -fsSL '${page.url}/latest/download/install.sh' | sh`], {
          clearEnv: true,
          env: { ...env, ...cache, ...more },
        });

      await t.step("the sums are those of all that is published", async () => {
        await requireProgram(["sha256sum", "--check", "--strict", "SHA256SUMS"], { cwd: page.directory });
        const listed = (await Deno.readTextFile(`${page.directory}/SHA256SUMS`)).trim().split("\n").map((line) =>
          line.slice(66)
        );
        const there = (await Array.fromAsync(Deno.readDir(page.directory))).map(({ name }) => name);
        equals(listed.sort(), there.filter((name) => name !== "SHA256SUMS").sort());
      });

      await t.step("install.sh: into ~/.local, and says how to get it into PATH", async () => {
        const { code, stderr } = await install();
        equals(code, 0, stderr);
        match(stderr, new RegExp(`^Installed telepresence ${VERSION} as ${home}/\\.local/bin/telepresence$`, "m"));
        match(stderr, new RegExp(`^hint: ${home}/\\.local/bin is not in your PATH: export PATH=`, "m"));
        const program = `${home}/.local/bin/telepresence`;
        equals((await requireProgram([program, "--version"], { env: cache })).trim(), VERSION);
        equals((await Array.fromAsync(Deno.readDir(`${home}/.local/bin`))).map(({ name }) => name), ["telepresence"]);
        const share = (path: string) => Deno.readTextFile(`${home}/.local/share/${path}`);
        match(await share("doc/telepresence/LICENSES.txt"), /^- Deno [\d.]+: MIT/m);
        equals(await share("man/man1/telepresence.1"), await requireProgram([program, "man"], { env: cache }));
        for (
          const [shell, path] of [
            ["bash", "bash-completion/completions/telepresence"],
            ["zsh", "zsh/site-functions/_telepresence"],
            ["fish", "fish/vendor_completions.d/telepresence.fish"],
          ] as const
        ) equals(await share(path), await requireProgram([program, "completion", shell], { env: cache }));
      });

      await t.step("install.sh: again, while one runs, and without a hint where it is in PATH", async () => {
        const running = new Deno.Command(`${home}/.local/bin/telepresence`, {
          args: ["--logfile", "/dev/null", "--version"],
          env: cache,
          stdout: "null",
        }).spawn();
        const { code, stderr } = await install({ PATH: `${home}/.local/bin:${PATH}` });
        equals((await running.status).code, 0);
        equals(code, 0, stderr);
        ok(!/hint:/.test(stderr), stderr);
      });

      await t.step("install.sh: with wget alone", async () => {
        const bin = `${home}/without-curl`;
        await Deno.mkdir(bin);
        for (
          const name of ["sh", "uname", "mktemp", "sed", "tar", "gzip", "cp", "mv", "rm", "mkdir", "sha256sum", "cut"]
        ) {
          await Deno.symlink((await requireProgram(["sh", "-c", `command -v ${name}`])).trim(), `${bin}/${name}`);
        }
        // wget's two options that it uses, by curl where the script does not see it.
        const curl = (await requireProgram(["sh", "-c", "command -v curl"])).trim();
        await Deno.writeTextFile(
          `${bin}/wget`,
          `#!/bin/sh\n[ "$1 $2" = "-q -O" ] && exec ${curl} -fsSL -o "$3" "$4"\n`,
          {
            mode: 0o755,
          },
        );
        const script = await publishedHere(page, "install.sh");
        const { code, stderr } = await runProgram(["/bin/sh"], {
          clearEnv: true,
          env: { ...env, ...cache, PATH: bin, PREFIX: `${home}/by-wget` },
          input: script,
        });
        equals(code, 0, stderr);
        ok((await Deno.stat(`${home}/by-wget/bin/telepresence`)).isFile);
      });

      await t.step("one file, copied", async () => {
        const copy = `${home}/anywhere`;
        await Deno.copyFile(`${home}/.local/bin/telepresence`, copy);
        const { stdout } = await runProgram([copy, "--help"], { clearEnv: true, env: { HOME: home } });
        match(stdout, /^usage: telepresence /);
      });

      await t.step("deno run -A URL", async () => {
        const env = { DENO_DIR: `${home}/deno`, DENO_NO_UPDATE_CHECK: "1" };
        const words = ["run", "-A", "--no-config", `${page.url}/latest/download/main.js`, "--version"];
        equals((await requireProgram([Deno.execPath(), ...words], { env })).trim(), VERSION);
      });

      await t.step("deno install -g", async () => {
        const env = { DENO_DIR: `${home}/deno`, DENO_INSTALL_ROOT: `${home}/deno-root`, DENO_NO_UPDATE_CHECK: "1" };
        const url = `${page.url}/latest/download/main.js`;
        await requireProgram([Deno.execPath(), "install", "-g", "-A", "--no-config", "-n", "telepresence", url], {
          env,
        });
        await Deno.mkdir(`${home}/deno-bin`);
        await Deno.symlink(Deno.execPath(), `${home}/deno-bin/deno`);
        const installed = `${home}/deno-root/bin/telepresence`;
        const found = await requireProgram([installed, "--version"], {
          env: { ...env, PATH: `${home}/deno-bin:${PATH}` },
        });
        equals(found.trim(), VERSION);
      });

      await t.step("it asks for a newer version when it is told to, and at no other time", async () => {
        const program = `${home}/.local/bin/telepresence`;
        const options = { env: { ...cache, TELEPRESENCE_RELEASES: page.url } };
        const before = page.asked.length;
        for (const words of [["--version"], ["version"], ["--help"], ["status", "--help"]]) {
          await runProgram([program, ...words], options);
        }
        const noCluster = { env: { ...options.env, KUBECONFIG: `${home}/none` } };
        await runProgram([program, "--logfile", "/dev/null", "--run", "true"], noCluster);
        equals(page.asked.slice(before), []);
        equals(await requireProgram([program, "version", "--check"], options), `${VERSION} is the newest version\n`);
        equals(page.asked.slice(before), ["/latest/download/VERSION"]);
      });

      await t.step({
        name: `the Homebrew formula's own steps${ruby ? "" : " (skipped: ruby is not here)"}`,
        ignore: !ruby,
        async fn() {
          const path = `${home}/telepresence.rb`;
          await Deno.writeTextFile(path, await publishedHere(page, "telepresence.rb"));
          await requireProgram(["ruby", "-c", path]);
          const player = new URL("formula.rb", import.meta.url).pathname;
          const words = ["ruby", player, path, `${home}/cellar`] as const;
          equals((await requireProgram(words, { env: cache })).trim().split("\n").pop(), `installed ${VERSION}`);
          ok((await Deno.stat(`${home}/cellar/share/doc/telepresence/LICENSE`)).isFile);
        },
      });

      await t.step("what docs/install.md removes is all that install.sh has put", async () => {
        const page = await Deno.readTextFile(new URL("../../docs/install.md", import.meta.url));
        const [, block = ""] = /^## How do I remove it\?$[^]*?```console\n([^]*?)```/m.exec(page) ?? [];
        const files = () => requireProgram(["find", `${home}/.local`, "-type", "f"]);
        match(await files(), /\/bin\/telepresence\n/);
        await requireProgram(["sh", "-ec", block.replace(/^\$ /gm, "")], { env: { HOME: home } });
        equals(await files(), "");
      });

      await t.step("install.sh refuses what is not what the sum says, and leaves nothing", async () => {
        const name = `telepresence-${VERSION}-${nativeTarget()?.triple}.tar.gz`;
        const archive = await Deno.open(`${page.directory}/${name}`, { write: true });
        await archive.seek(5000, Deno.SeekMode.Start);
        await archive.write(new Uint8Array(10));
        archive.close();
        const { code, stderr } = await install({ PREFIX: `${home}/damaged` });
        equals(code, 1);
        match(stderr, /^Cannot install telepresence: the sum of \S+ is [0-9a-f]{64}, and [0-9a-f]{64} is wanted$/m);
        match(stderr, /^hint: try again/m);
        await Deno.stat(`${home}/damaged`).then(() => ok(false, "something was installed"), () => {});
      });

      await t.step("install.sh says what cannot be got", async () => {
        const { code, stderr } = await install({ TELEPRESENCE_RELEASES: `${page.url}/nowhere` });
        equals(code, 1);
        match(stderr, /^Cannot install telepresence: it cannot be got from \S+\/nowhere$/m);
      });
    });
  },
);

Deno.test("install.sh chooses among the targets of the table by uname", async (t) => {
  const script = await installer();
  const choose = async (system: string, machine: string) => {
    const uname = `uname() { if [ "$1" = -s ]; then echo ${system}; else echo ${machine}; fi; }\n`;
    const begin = script.slice(0, script.indexOf("name=telepresence-")).replace("set -eu", `set -eu\n${uname}`);
    const ended = await runProgram(["sh"], { input: `${begin}\necho "$target"\n`, clearEnv: true, env: { HOME: "/" } });
    return { code: ended.code, said: ended.stdout.trim(), stderr: ended.stderr };
  };
  const table = [
    ["Linux", "x86_64", "x86_64-unknown-linux-gnu"],
    ["Linux", "aarch64", "aarch64-unknown-linux-gnu"],
    ["Darwin", "arm64", "aarch64-apple-darwin"],
    ["Darwin", "x86_64", "x86_64-apple-darwin"],
  ] as const;
  equals(table.map(([, , triple]) => triple).sort(), TARGETS.map(({ triple }) => triple).sort());
  for (const [system, machine, triple] of table) {
    await t.step(triple, async () => {
      const { said, stderr } = await choose(system, machine);
      equals(said, triple);
      equals(/^On macOS this has never been tried/.test(stderr), system === "Darwin");
    });
  }
  await t.step("and refuses any other", async () => {
    const { code, stderr } = await choose("Linux", "riscv64");
    equals(code, 1);
    match(stderr, /^Cannot install telepresence: there is none for Linux on riscv64\nhint: /);
  });
});

Deno.test("install.sh, asked to get it by https, is led to nothing else", async () => {
  const programs = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  try {
    await Deno.writeTextFile(`${programs}/curl`, '#!/bin/sh\necho "curl $*"\nexit 1\n', { mode: 0o755 });
    const got = async (releases: string) => {
      const env = { PATH: `${programs}:${PATH}`, HOME: programs, TELEPRESENCE_RELEASES: releases };
      return (await runProgram(["sh"], { input: await installer(), clearEnv: true, env })).stdout;
    };
    match(await got("https://releases.example"), /^curl --proto =https --fail .* https:\/\/releases\.example\//);
    match(await got("http://mirror.example"), /^curl --proto =http,https --fail /);
  } finally {
    await Deno.remove(programs, { recursive: true });
  }
});

Deno.test("install.sh is clean to shellcheck", { ignore: !await has("shellcheck", "--version") }, async () => {
  await requireProgram(["shellcheck", "--shell=sh", "-"], { input: await installer() });
});

Deno.test({
  name: `a Mac gets its own archive by the formula, and is told what does not work${
    ruby ? "" : " (skipped: ruby is not here)"
  }`,
  ignore: !ruby,
  async fn() {
    const archives = TARGETS.map((target, i) => ({ target, name: `x-${target.triple}`, sum: String(i).repeat(64) }));
    const path = await Deno.makeTempFile({ suffix: ".rb" });
    try {
      await Deno.writeTextFile(path, formula(archives));
      const player = new URL("formula.rb", import.meta.url).pathname;
      for (const { target, name, sum } of archives) {
        const machine = target.os === "darwin" && target.arch === "aarch64" ? "arm64" : target.arch;
        const env = { HOST: `${target.os} ${machine}` };
        const [url, found, ...caveats] = (await requireProgram(["ruby", player, path], { env })).trim().split("\n");
        equals([url, found], [`${RELEASES}/download/v${VERSION}/${name}.tar.gz`, sum]);
        equals(/^On macOS almost nothing works yet/.test(caveats.join("\n")), target.os === "darwin", target.triple);
      }
    } finally {
      await Deno.remove(path);
    }
  },
});

Deno.test("the formula has every target of the table, with its own sum", () => {
  const archives = TARGETS.map((target, i) => ({ target, name: `x-${target.triple}`, sum: String(i).repeat(64) }));
  const text = formula(archives);
  for (const { target, name, sum } of archives) {
    const block = target.arch === "x86_64" ? "on_intel" : "on_arm";
    const wanted =
      `    ${block} do\n      url "${RELEASES}/download/v${VERSION}/${name}.tar.gz"\n      sha256 "${sum}"\n    end`;
    const [linux = "", macos = ""] = text.split("on_macos do");
    ok((target.os === "linux" ? linux : macos).includes(wanted), `${wanted}\n--- in\n${text}`);
  }
});
