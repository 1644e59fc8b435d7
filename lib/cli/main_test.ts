import { deepStrictEqual as equals, match, ok, strictEqual as equal } from "node:assert/strict";
import { UserError } from "@/util/mod.ts";
import { type Around, type Host, main } from "./main.ts";
import type { Flags } from "./flags.ts";
import type { SignalName } from "./signals.ts";
import { kubeconfigFor } from "../../tests/testkit/mod.ts";

/** A machine in a folder of its own, and what was written and run. */
function setUp(run: (around: Around, flags: Flags) => number | Promise<number> = () => 0) {
  const cwd = Deno.makeTempDirSync({ prefix: "cli-" });
  const seen = { stdout: "", stderr: "", runs: [] as Flags[], exits: [] as number[] };
  let send: (signal: SignalName) => void = () => ok(false, "nobody listens");
  const host: Host = {
    env: { XDG_STATE_HOME: `${cwd}/state` },
    home: `${cwd}/home`,
    cwd: () => cwd,
    version: "1.2.3",
    reportTo: "https://example.com/issues",
    stderrIsTerminal: false,
    columns: () => undefined,
    writeStdout(text) {
      seen.stdout += text;
      return undefined;
    },
    writeStderr: (text) => void (seen.stderr += text),
    exit: (code) => void seen.exits.push(code),
    listen(callback) {
      send = callback;
      return { [Symbol.dispose]() {} };
    },
    command: () => Promise.resolve(0),
    async run(flags, around) {
      seen.runs.push(flags);
      return await run(around, flags);
    },
  };
  return {
    cwd,
    host,
    seen,
    send: (signal: SignalName) => send(signal),
    main: (...argv: string[]) => main(argv, host),
    readLog: () => Deno.readTextFileSync(`${cwd}/telepresence.log`),
    hasLog: () => [...Deno.readDirSync(cwd)].some(({ name }) => name === "telepresence.log"),
    [Symbol.dispose]: () => Deno.removeSync(cwd, { recursive: true }),
  };
}

Deno.test("main() writes what was asked for to the standard output, and nothing else anywhere", async (t) => {
  for (const argv of [["--version"], ["version"]]) {
    await t.step(argv.join(" "), async () => {
      using test = setUp();
      equal(await test.main(...argv), 0);
      equals(test.seen, { stdout: "1.2.3\n", stderr: "", runs: [], exits: [] });
      equal(test.hasLog(), false);
    });
  }
  for (const argv of [["--help"], ["-h"]]) {
    await t.step(argv.join(" "), async () => {
      using test = setUp();
      equal(await test.main(...argv), 0);
      match(test.seen.stdout, /^usage: telepresence [^]*== Examples ==[^]*== Detailed usage ==/);
      equals([test.seen.stderr, test.hasLog()], ["", false]);
    });
  }
});

Deno.test("main() explains where help is asked for in the middle, and an option by its name", async (t) => {
  const table: readonly (readonly [string, RegExp])[] = [
    ["status --watch --help", /^usage: telepresence status /],
    ["doctor --namespace -h", /^usage: telepresence doctor /],
    ["help --expose", /^ {2}--expose PORT/],
    ["help -n", /^ {2}--new-deployment NAME/],
    ["help --help", /^usage: telepresence help /],
  ];
  for (const [line, says] of table) {
    await t.step(line, async () => {
      using test = setUp();
      equal(await test.main(...line.split(" ")), 0);
      match(test.seen.stdout, says);
      equals([test.seen.stderr, test.hasLog()], ["", false]);
    });
  }
});

Deno.test("main() tells the usage as wide as a narrow terminal is", async () => {
  using test = setUp();
  equal(await main(["--bogus"], { ...test.host, columns: () => 50 }), 2);
  const [usage = ""] = test.seen.stderr.split("\ntelepresence: error: ");
  match(usage, /^usage: telepresence \[-h\]/);
  for (const line of usage.split("\n")) ok(line.length <= 50, line);
});

Deno.test("main() says that what was asked for could not be written", async (t) => {
  for (const argv of [["--version"], ["help", "swap"], ["completion", "bash"]]) {
    await t.step(argv.join(" "), async () => {
      using test = setUp();
      const writeStdout = () => new Error("No space left on device (os error 28)");
      equal(await main(argv, { ...test.host, writeStdout }), 255);
      equal(test.seen.stderr, "T: Error: Cannot write to the standard output: No space left on device\n");
    });
  }
});

Deno.test("main() ends with 2 at a line without a meaning, before it touches anything", async (t) => {
  const table = [
    [["--bogus"], "unrecognized arguments: --bogus"],
    [["version", "x"], "unrecognized arguments: x"],
    [["recover", "--bogus"], "recover: Unknown option '--bogus'"],
    [["status", "x"], "status: sessions are named with --watch alone"],
    [["report"], "report: expected the FILE that --record wrote"],
    [["status", "--output", "xml"], "status: argument --output: invalid choice: 'xml' (choose from 'text', 'json')"],
    [["agent-manifest"], "agent-manifest: the following arguments are required: NAME"],
    [["agent-manifest", "a", "b"], "unrecognized arguments: b"],
    [
      ["agent-manifest", "9a"],
      'agent-manifest: invalid name: \'9a\' (at most 46 characters a-z, 0-9 and "-", the first one a letter, the last one no "-")',
    ],
    [
      ["agent-manifest", "a", "--expose", "0"],
      "agent-manifest: argument --expose: invalid port: '0' (expected 1 to 65535)",
    ],
    [
      ["agent-manifest", "a", "-o", "text"],
      "agent-manifest: argument --output: invalid choice: 'text' (choose from 'yaml', 'json')",
    ],
    [["doctor", "-o", "xml"], "doctor: argument --output: invalid choice: 'xml' (choose from 'text', 'json')"],
    [["completion", "tcsh"], "completion: invalid choice: 'tcsh' (choose from 'bash', 'zsh', 'fish')"],
    [["completion"], "completion: expected a shell (choose from bash, zsh, fish)"],
    [["help", "a", "b"], "unrecognized arguments: b"],
    [["help", "--quack"], "help: no such topic: '--quack'"],
  ] as const;
  for (const [argv, message] of table) {
    await t.step(argv.join(" "), async () => {
      using test = setUp();
      equal(await test.main(...argv), 2);
      ok(test.seen.stderr.startsWith("usage: telepresence [-h]"));
      const said = test.seen.stderr.replace(/^telepresence: hint: .*\n/gm, "");
      ok(said.endsWith(`\ntelepresence: error: ${message}\n`), test.seen.stderr);
      equals([test.seen.stdout, test.seen.runs, test.hasLog()], ["", [], false]);
    });
  }
});

Deno.test("main() reads the words behind a subcommand, and runs it without a log", async (t) => {
  const table: readonly (readonly [string, unknown])[] = [
    ["recover", { kind: "recover", sessions: [] }],
    ["recover --namespace shop 5e55 ab", { kind: "recover", namespace: "shop", sessions: ["5e55", "ab"] }],
    ["status --watch 5e", { kind: "watch", sessions: ["5e"], output: "text" }],
    ["report file", { kind: "report", file: "file" }],
    ["doctor", { kind: "doctor", output: "text" }],
    ["doctor --namespace n -o json", { kind: "doctor", namespace: "n", output: "json" }],
    ["status", { kind: "status", allNamespaces: false, output: "text" }],
    ["agent-manifest proxy", { kind: "agent-manifest", name: "proxy", ports: [], output: "yaml" }],
    ["agent-manifest p --expose 80 --expose 90 --expose 80 --image i:1 --serviceaccount s --namespace n -o json", {
      kind: "agent-manifest",
      name: "p",
      ports: [80, 90],
      namespace: "n",
      serviceAccount: "s",
      image: "i:1",
      output: "json",
    }],
    ["status -A -o json --context c", { kind: "status", context: "c", allNamespaces: true, output: "json" }],
  ];
  for (const [line, want] of table) {
    await t.step(line, async () => {
      using test = setUp();
      const seen: unknown[] = [];
      const command: Host["command"] = (command, { print }) => {
        seen.push(command);
        print("told\n");
        return Promise.resolve(7);
      };
      equal(await main(line.split(" "), { ...test.host, command }), 7);
      equals([seen, test.seen.stdout, test.hasLog()], [[want], "told\n", false]);
    });
  }
});

Deno.test("main() completes with what is there when its patience ends, though the API server never answers", async () => {
  using test = setUp();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const kubeconfig = `${test.cwd}/kubeconfig`;
  await Deno.writeTextFile(kubeconfig, kubeconfigFor({ server: `https://127.0.0.1:${listener.addr.port}` }));
  const ending = new AbortController();
  const host = { ...test.host, env: { KUBECONFIG: kubeconfig }, patience: () => ending.signal };
  const completing = main(["complete", "--", "--namespace", "sho"], host);
  using connection = await listener.accept(); // it has asked, and hears nothing
  equals(test.seen.stdout, "");
  ending.abort();
  equals(await completing, 0);
  equals([test.seen.stdout, test.seen.stderr], ["none\n", ""]);
  ok(connection.remoteAddr);
});

Deno.test("main() lets a session ask where somebody can answer", async () => {
  for (const [answer, want] of [["\n", true], ["Yes\n", true], ["n\n", false], ["what?\n", false]] as const) {
    let heard: boolean | undefined;
    using test = setUp(async ({ ask }) => {
      heard = await ask?.("Give it back now?");
      return 0;
    });
    await main([], { ...test.host, readLine: () => Promise.resolve(answer) });
    equal(heard, want);
    match(test.seen.stderr, /^T: Give it back now\? \[Y\/n\]\n$/);
  }
  using test = setUp(({ ask }) => ask === undefined ? 3 : 0);
  equal(await test.main(), 3);
});

Deno.test("main() runs a session and ends with the command's own exit code", async () => {
  using test = setUp(({ log, teller, env, home, signal }) => {
    log.info("token: abc");
    log.debug("everything");
    teller.say("Setup complete");
    teller.chat("for people");
    equals([Object.keys(env), home.endsWith("/home"), signal.aborted], [["XDG_STATE_HOME"], true, false]);
    return 113;
  });
  equal(await test.main("-nweb", "--verbose", "--run", "curl", "--user", "me:secret"), 113);
  equals(test.seen.stdout, "");
  equals(test.seen.stderr, "T: Setup complete\n");
  equals(test.seen.runs[0]?.operation, { kind: "new", name: "web" });
  const log = test.readLog();
  for (
    const words of ["telepresence 1.2.3 ", "token: Masked", "everything", ">>>  | Setup complete", ">>>  | for people"]
  ) {
    ok(log.includes(words), log);
  }
  ok(log.endsWith("Ends with exit code 113\n"), log);
  ok(!log.includes("secret"), "words of the command stay out of the log");
});

Deno.test("main() warns before the session starts", async () => {
  using test = setUp(({ teller }) => (teller.say("Started"), 0));
  await test.main("--run", "curl", "x", "--namespace", "foo");
  match(test.seen.stderr, /^T: Warning: --namespace behind --run belongs to "curl"\..*\nT: Started\n$/);
});

Deno.test("main() tells why a session failed, on the terminal and with the stack in the log", async (t) => {
  await t.step("what the user can fix ends with 255", async () => {
    using test = setUp(() => Promise.reject(new UserError("Cannot go on: why", { hints: ["do this"] })));
    equal(await test.main("--verbose"), 255);
    equal(test.seen.stderr, "T: Error: Cannot go on: why\nT: Hint: do this\n");
    match(test.readLog(), /UserError: Cannot go on[^]* at [^]*Ends with exit code 255\n$/);
  });
  await t.step("a bug ends with 1 and shows the log", async () => {
    using test = setUp(({ log }) => {
      log.info("the last thing");
      throw new TypeError("odd");
    });
    equal(await test.main(), 1);
    const bug = /^T: Looks like there's a bug in our code[^]*TypeError: odd[^]*\| the last thing\n[^]*issues\n$/;
    match(test.seen.stderr, bug);
    ok(test.seen.stderr.includes(`T: The whole log: ${test.cwd}/telepresence.log\n`));
  });
});

Deno.test("main() ends with 255 where there is no current directory", async () => {
  using test = setUp();
  const cwd = () => {
    throw new Deno.errors.NotFound("gone");
  };
  equal(await main([], { ...test.host, cwd }), 255);
  equal(
    test.seen.stderr,
    "T: Error: Current working directory does not exist.\n" +
      "T: Hint: It was removed: cd to another one, or to the one that was made in its place (cd .)\n",
  );
  equals(test.seen.runs, []);
});

Deno.test("main() with --logfile - has the log on the standard output", async () => {
  using test = setUp(({ teller }) => (teller.say("Hello"), 0));
  equal(await test.main("--logfile", "-"), 0);
  match(test.seen.stdout, />>> {2}\| Hello\n/);
  equals([test.seen.stderr, test.hasLog()], ["T: Hello\n", false]);
});

Deno.test("main() after a signal", async (t) => {
  const waitFor = ({ signal }: Around) => {
    const { promise, reject } = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => reject(signal.reason));
    return promise;
  };
  for (const [name, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    await t.step(`${name} ends with ${code}`, async () => {
      using test = setUp(waitFor);
      const running = test.main();
      test.send(name);
      equal(await running, code);
      match(test.seen.stderr, /^T: [^\n]* Cleaning up \.\.\.\n$/);
    });
  }
  await t.step("the command's own code wins", async () => {
    using test = setUp((around) => waitFor(around).catch(() => 7));
    const running = test.main();
    test.send("SIGINT");
    equal(await running, 7);
  });
  await t.step("a clean-up that failed is told", async () => {
    using test = setUp(async (around) => {
      await using _undo = {
        [Symbol.asyncDispose]: () => Promise.reject(new UserError('Cannot delete Deployment "x": timed out')),
      };
      return await waitFor(around);
    });
    const running = test.main();
    test.send("SIGTERM");
    equal(await running, 143);
    ok(test.seen.stderr.endsWith('T: Cleanup failed: Cannot delete Deployment "x": timed out\n'), test.seen.stderr);
  });
});
