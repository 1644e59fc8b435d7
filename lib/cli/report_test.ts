import { deepStrictEqual as equals, ok, strictEqual as equal } from "node:assert/strict";
import { UserError } from "@/util/mod.ts";
import { report, stacksOf } from "./report.ts";
import { Interrupted } from "./signals.ts";
import { makeTerminal } from "./terminal.ts";
import { UsageError } from "./usage_error.ts";

/** What a report says, and its exit code. */
function told(error: unknown, { lines = [] as string[], path = "/x/telepresence.log" } = {}) {
  let stderr = "";
  const terminal = makeTerminal({
    stderrIsTerminal: true,
    columns: () => 60,
    writeStdout() {
      throw new Error("Nothing of a report goes to the standard output");
    },
    writeStderr: (text) => void (stderr += text),
  });
  const logfile = { path, lastLines: (count: number) => lines.slice(-count) };
  const code = report(error, terminal, { logfile, reportTo: "https://example.com/issues", version: "0.1.0" });
  return { code, lines: stderr.split("\n").slice(0, -1) };
}

const forbidden = new Error('pods is forbidden: User "jane" cannot list');
const userError = new UserError("Cannot list the pods: forbidden", {
  hints: ["kubectl auth can-i list pods --namespace a-namespace-with-a-long-name --as jane"],
  cause: forbidden,
});

Deno.test("report() tells an error for the user: its sentence, what the causes add, the hints unwrapped", async (t) => {
  const table: { name: string; error: unknown; code?: number; want: string[] }[] = [
    { name: "a sentence alone", error: new UserError("Cannot go on: why"), want: ["T: Error: Cannot go on: why"] },
    {
      name: "a long one is wrapped, its hint is not",
      error: new UserError("Cannot find the context: none of this name is in the kubeconfig", {
        hints: ["kubectl config get-contexts --and-so-on --and-so-on --and-so-on"],
      }),
      want: [
        "T: Error: Cannot find the context: none of this name is in",
        "T: the kubeconfig",
        "T: Hint: kubectl config get-contexts --and-so-on --and-so-on --and-so-on",
      ],
    },
    {
      name: "a cause with its own words",
      error: userError,
      want: [
        "T: Error: Cannot list the pods: forbidden",
        'T: Cause: pods is forbidden: User "jane" cannot list',
        `T: Hint: ${userError.hints[0]}`,
      ],
    },
    {
      name: "a cause that adds nothing, and one below that does",
      error: new UserError("Cannot dial: refused", { cause: new Error("refused", { cause: new Error("below") }) }),
      want: ["T: Error: Cannot dial: refused", "T: Cause: below"],
    },
    {
      name: "a cause that adds an error's number alone",
      error: new UserError("Cannot dial: refused", { cause: new Error("Refused (os error 111): connect") }),
      want: ["T: Error: Cannot dial: refused"],
    },
    {
      name: "a hint of a cause, each once",
      error: new UserError("Outer", { hints: ["do"], cause: new UserError("Inner", { hints: ["do", "or"] }) }),
      want: ["T: Error: Outer", "T: Cause: Inner", "T: Hint: do", "T: Hint: or"],
    },
    {
      name: "several at once",
      error: new AggregateError([new UserError("One"), new UserError("Two")]),
      want: ["T: Error: One", "T: Error: Two"],
    },
    {
      name: "several as the cause",
      error: new UserError("Both failed", { cause: new AggregateError([new Error("one"), new Error("two")]) }),
      want: ["T: Error: Both failed", "T: Cause: one", "T: Cause: two"],
    },
    {
      name: "two clean-ups failed as well",
      error: new SuppressedError(
        userError,
        new SuppressedError(new TypeError("odd"), new UserError("First")),
      ),
      want: [
        "T: Error: First",
        "T: Cleanup failed: odd",
        "T: Cleanup failed: Cannot list the pods: forbidden",
        'T: Cause: pods is forbidden: User "jane" cannot list',
        `T: Hint: ${userError.hints[0]}`,
      ],
    },
    {
      name: "a signal is no error",
      error: new Interrupted("SIGINT"),
      code: 130,
      want: [],
    },
    {
      name: "nor is what it broke off",
      error: new UserError("Cannot list the pods", { cause: new Interrupted("SIGTERM") }),
      code: 143,
      want: [],
    },
    {
      name: "but what it could not give back is told",
      error: new SuppressedError(new UserError("Cannot delete x"), new Interrupted("SIGHUP")),
      code: 129,
      want: ["T: Cleanup failed: Cannot delete x"],
    },
    {
      name: "errors beside a signal are its echoes",
      error: new AggregateError([new UserError("Lost"), new Interrupted("SIGINT")]),
      code: 130,
      want: [],
    },
  ];
  for (const { name, error, code = 255, want } of table) {
    await t.step(name, () => equals(told(error), { code, lines: want }));
  }
});

Deno.test("report() tells a usage error in argparse's form", () => {
  const { code, lines } = told(new UsageError("unrecognized arguments: --x", ["did you mean --y?"]));
  equal(code, 2);
  ok(lines[0]?.startsWith("usage: telepresence [-h]"));
  equals(lines.slice(-2), [
    "telepresence: error: unrecognized arguments: --x",
    "telepresence: hint: did you mean --y?",
  ]);
});

Deno.test("report() tells anything else as our bug", async (t) => {
  const log = Array.from({ length: 14 }, (_, index) => `   0.${index} TEL  | line ${index}`);
  await t.step("with the stack, the causes, the end of the log and where to report it", () => {
    const error = new TypeError("x is not a function", { cause: new Error("why") });
    error.stack = "TypeError: x is not a function\n    at main.ts:1:1";
    (error.cause as Error).stack = "Error: why\n    at main.ts:2:2";
    equals(told(error, { lines: log }), {
      code: 1,
      lines: [
        "T: Looks like there's a bug in our code. Sorry about that!",
        "T: TypeError: x is not a function",
        "T:     at main.ts:1:1",
        "T: Error: why",
        "T:     at main.ts:2:2",
        "T: The last lines of the log:",
        ...log.slice(2).map((line) => `T: ${line}`),
        "T: The whole log: /x/telepresence.log",
        "T: Please report it with the lines above (telepresence 0.1.0): https://example.com/issues",
      ],
    });
  });
  const table: readonly (readonly [string, unknown])[] = [
    ["a string", "thrown"],
    ["nothing at all", undefined],
    ["two bugs at once", new AggregateError([new TypeError("one"), undefined])],
    ["null", null],
    ["an aggregate of nothing", new AggregateError([], "empty")],
    ["beside an error for the user", new AggregateError([new UserError("One"), new TypeError("two")])],
    ["under a clean-up that failed", new SuppressedError(new UserError("One"), new TypeError("two"))],
  ];
  for (const [name, error] of table) {
    await t.step(name, () => {
      const { code, lines } = told(error, { path: "-" });
      equal(code, 1);
      equal(lines[0], "T: Looks like there's a bug in our code. Sorry about that!");
      ok(!lines.some((line) => line.includes("whole log")));
    });
  }
});

Deno.test("stacksOf() has each error inside", () => {
  const text = stacksOf(new SuppressedError(new Error("later"), new Error("first", { cause: "a string" })));
  for (const words of ["first", "later", "a string"]) ok(text.includes(words), text);
});
