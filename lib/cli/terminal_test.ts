import { deepStrictEqual as equals } from "node:assert/strict";
import { makeLog } from "@/log/mod.ts";
import { makeTerminal } from "./terminal.ts";

/** A screen that keeps what is written. */
function makeScreen({ stderrIsTerminal = true, columns = 40 as number | "unknown" } = {}) {
  const written = { stdout: "", stderr: "" };
  return {
    written,
    stderrIsTerminal,
    columns: () => columns === "unknown" ? undefined : columns,
    writeStdout: (text: string) => void (written.stdout += text),
    writeStderr: (text: string) => void (written.stderr += text),
  };
}

Deno.test("say() wraps at the terminal's width less one, each line marked", async (t) => {
  const words = "Forwarding remote port 80 to local port 8080.";
  const table = [
    { name: "a terminal", screen: {}, want: "T: Forwarding remote port 80 to local\nT: port 8080.\n" },
    { name: "no terminal", screen: { stderrIsTerminal: false }, want: `T: ${words}\n` },
    { name: "a narrow terminal", screen: { columns: 24 }, want: `T: ${words}\n` },
    {
      name: "a terminal just wide enough",
      screen: { columns: 25 },
      want: "T: Forwarding remote\nT: port 80 to local port\nT: 8080.\n",
    },
    { name: "exactly one line", screen: { columns: words.length + 4 }, want: `T: ${words}\n` },
    {
      name: "one too short",
      screen: { columns: words.length + 3 },
      want: "T: Forwarding remote port 80 to local port\nT: 8080.\n",
    },
    { name: "a terminal of unknown width", screen: { columns: "unknown" as const }, want: `T: ${words}\n` },
  ];
  for (const { name, screen: options, want } of table) {
    await t.step(name, () => {
      const screen = makeScreen(options);
      makeTerminal(screen).say(words);
      equals(screen.written, { stdout: "", stderr: want });
    });
  }
});

Deno.test("say() keeps long words whole, line ends, and indents", () => {
  const screen = makeScreen({ columns: 30 });
  makeTerminal(screen).say("See https://example.com/a/very/long/address here\n\n  indented words that are too long");
  equals(
    screen.written.stderr,
    "T: See\nT: https://example.com/a/very/long/address\nT: here\nT: \nT:   indented words that are\nT:   too long\n",
  );
});

Deno.test("say() shows control characters of others and does not send them", () => {
  const screen = makeScreen({ columns: 100 });
  makeTerminal(screen).say("a\x1b[2Jb\u009bc\x07\td\r\ne");
  equals(screen.written.stderr, "T: a\\x1b[2Jb\\x9bc\\x07\td\nT: e\n");
});

Deno.test("print() shows control characters of others as JSON writes them, so that JSON stays JSON", () => {
  const screen = makeScreen();
  makeTerminal(screen).print(`${JSON.stringify({ by: "a\x1b]0;x\x07\u009b2J\u202eb\tc" })}\n`);
  equals(screen.written.stdout, '{"by":"a\\u001b]0;x\\u0007\\u009b2J\\u202eb\\tc"}\n');
  makeTerminal(screen).print("a\x1b[2J\tb\r\n");
  equals(screen.written.stdout.split("\n")[1], "a\\u001b[2J\tb");
});

Deno.test("chat() is for people, and always in the log", () => {
  const lines: string[] = [];
  const log = makeLog((line) => lines.push(line), { now: () => 0 });
  const [tty, pipe] = [makeScreen(), makeScreen({ stderrIsTerminal: false })];
  for (const screen of [tty, pipe]) makeTerminal(screen).heardBy(log).chat("Good to know");
  equals([tty.written.stderr, pipe.written.stderr], ["T: Good to know\n", ""]);
  equals(lines, ["   0.0 >>>  | Good to know", "   0.0 >>>  | Good to know"]);
});

Deno.test("copy() never wraps, print() goes to the standard output as it is, complain() has no mark", () => {
  const screen = makeScreen({ columns: 30 });
  const terminal = makeTerminal(screen);
  terminal.copy("telepresence --new-deployment web --expose 80\nsecond");
  terminal.print("0.1.0\n");
  terminal.complain("usage: telepresence\n");
  equals(screen.written, {
    stdout: "0.1.0\n",
    stderr: "T: telepresence --new-deployment web --expose 80\nT: second\nusage: telepresence\n",
  });
});

Deno.test("step() is one line that is erased, cut at the width, where the terminal can and is wide enough", async (t) => {
  const steps = (screen: ReturnType<typeof makeScreen> & { canErase?: boolean }) => {
    const terminal = makeTerminal(screen);
    terminal.step("Waiting for the proxy");
    terminal.because("Unschedulable: no node\nhas room", "the proxy");
    terminal.say("Something else");
    terminal.step(undefined);
    return screen.written.stderr;
  };
  const line = "\rT: Waiting for the proxy ...";
  await t.step("wide", () => {
    const whole = `${line}: Unschedulable: no node\x1b[K`;
    equals(
      steps({ ...makeScreen({ columns: 80 }), canErase: true }),
      `${line}\x1b[K${whole}\r\x1b[KT: Something else\n${whole}\r\x1b[K`,
    );
  });
  await t.step("just wide enough", () => {
    const cut = "\rT: Waiting for the proxy ...: Unsc...\x1b[K";
    equals(
      steps({ ...makeScreen({ columns: 38 }), canErase: true }),
      `${line}\x1b[K${cut}\r\x1b[KT: Something else\n${cut}\r\x1b[K`,
    );
  });
  const plain = "T: Waiting for the proxy\nT: Still waiting for the proxy: Unschedulable: no node\nT: has room\n" +
    "T: Something else\n";
  await t.step("too narrow", () => equals(steps({ ...makeScreen({ columns: 24 }), canErase: true }), plain));
  await t.step("no terminal", () => equals(steps(makeScreen({ stderrIsTerminal: false })), plain));
});

Deno.test("a step stays away while somebody else asks on the terminal", () => {
  const screen = { ...makeScreen({ columns: 80 }), canErase: true };
  const terminal = makeTerminal(screen);
  terminal.step("Waiting");
  screen.written.stderr = "";
  {
    using _asking = terminal.pause();
    equals(screen.written.stderr, "\r\x1b[K");
    terminal.say("Password:");
    terminal.because("still", "it");
    equals(screen.written.stderr, "\r\x1b[KT: Password:\n");
  }
  equals(screen.written.stderr, "\r\x1b[KT: Password:\n\rT: Waiting ...: still\x1b[K");
  terminal.step(undefined);
});

Deno.test("quiet: what is said goes to the screen, notices and steps to the log alone", () => {
  const lines: string[] = [];
  const log = makeLog((line) => lines.push(line.slice(14)), { now: () => 0 });
  const screen = { ...makeScreen(), canErase: true };
  const terminal = makeTerminal(screen).heardBy(log, { quiet: true });
  terminal.step("Waiting");
  terminal.because("so", "it");
  terminal.note("Started");
  terminal.chat("Good to know");
  terminal.say("Error: no");
  terminal.step(undefined);
  equals(screen.written.stderr, "T: Error: no\n");
  equals(lines, ["Waiting", "Still waiting for it: so", "Started", "Good to know", "Error: no"]);
});
