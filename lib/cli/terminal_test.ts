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
