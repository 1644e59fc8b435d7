import { deepStrictEqual as equals, ok, rejects, strictEqual as equal } from "node:assert/strict";
import { Interrupted, type SignalName, untilSignal } from "./signals.ts";

/** Signals, a clock and what happened, in the hands of a test. */
function setUp() {
  const events: string[] = [];
  let callback: ((signal: SignalName) => void) | undefined;
  let now = 0;
  return {
    events,
    /** Sends a signal, by default long after the one before. */
    send(signal: SignalName, afterMs = 1000) {
      now += afterMs;
      ok(callback, "nobody listens");
      callback(signal);
    },
    options: {
      say: (line: string) => void events.push(line),
      exit: (code: number) => void events.push(`exit ${code}`),
      leftovers: () => ["deployment/x", "configmap/x"],
      now: () => now,
      listen(listener: (signal: SignalName) => void): Disposable {
        callback = listener;
        return { [Symbol.dispose]: () => callback = undefined };
      },
    },
    get isHeard() {
      return callback !== undefined;
    },
  };
}

Deno.test("untilSignal() returns what the body returns, and listens no longer", async () => {
  const test = setUp();
  equal(await untilSignal((signal) => Promise.resolve(signal.aborted ? 1 : 7), test.options), 7);
  equals([test.events, test.isHeard], [[], false]);
});

Deno.test("untilSignal() aborts at the first signal with the reason", async (t) => {
  const table = [
    ["SIGINT", "Keyboard interrupt (Ctrl-C/Ctrl-Break) pressed", 130],
    ["SIGTERM", "Received signal SIGTERM", 143],
    ["SIGHUP", "Received signal SIGHUP", 129],
  ] as const;
  for (const [name, words, code] of table) {
    await t.step(name, async () => {
      const test = setUp();
      const run = untilSignal((signal) => {
        test.send(name);
        signal.throwIfAborted();
        return Promise.resolve(0);
      }, test.options);
      await rejects(run, (error) => {
        ok(error instanceof Interrupted);
        equals([error.signal, error.message, error.exitCode], [name, words, code]);
        return true;
      });
      equals(test.events, [`${words}. Cleaning up ...`]);
    });
  }
});

Deno.test("untilSignal() lets the clean-up go on at the second signal and ends at the third", async () => {
  const test = setUp();
  await untilSignal((signal) => {
    test.send("SIGINT");
    const { reason } = signal;
    test.send("SIGTERM");
    equal(signal.reason, reason);
    equals(test.events.slice(1), [
      "Still cleaning up ... Once more ends telepresence at once and leaves things behind.",
    ]);
    test.send("SIGINT");
    return Promise.resolve();
  }, test.options);
  equals(test.events.slice(2), [
    "Ended before the clean-up was done. This is left, to be deleted by hand:",
    "  deployment/x",
    "  configmap/x",
    "exit 130",
  ]);
});

Deno.test("untilSignal() says at the third signal that nothing is left, if so", async () => {
  const test = setUp();
  await untilSignal(() => {
    test.send("SIGTERM");
    test.send("SIGTERM");
    test.send("SIGTERM");
    return Promise.resolve();
  }, { ...test.options, leftovers: () => [] });
  equals(test.events.slice(2), ["Ended before the clean-up was done. Nothing is known to be left.", "exit 143"]);
});

Deno.test("untilSignal() takes signals that come together for one", async () => {
  const test = setUp();
  await untilSignal(() => {
    test.send("SIGHUP");
    test.send("SIGHUP", 0);
    test.send("SIGTERM", 100);
    test.send("SIGINT", 149);
    equals(test.events.length, 1);
    test.send("SIGINT", 1);
    equals(test.events.length, 2);
    return Promise.resolve();
  }, test.options);
});

Deno.test("untilSignal() aborts with an error that nobody waited for, instead of ending the process", async (t) => {
  const table = {
    "a rejected promise": (error: Error) => void Promise.reject(error),
    "an error in a callback": (error: Error) =>
      void setTimeout(() => {
        throw error;
      }),
  };
  for (const [name, stray] of Object.entries(table)) {
    await t.step(name, async () => {
      const test = setUp();
      const error = new Error("stray");
      const run = untilSignal(async (signal) => {
        stray(error);
        const { promise, reject } = Promise.withResolvers<never>();
        signal.addEventListener("abort", () => reject(signal.reason));
        return await promise;
      }, test.options);
      await rejects(run, error);
    });
  }
});

Deno.test("untilSignal() loses no error that nobody waited for", async (t) => {
  const stray = new Error("stray");
  /** Lets the stray be seen, by whoever listened before us. */
  const reject = async (error: unknown) => {
    const seen = new Promise((resolve) => addEventListener("unhandledrejection", resolve, { once: true }));
    Promise.reject(error);
    await seen;
  };
  await t.step("when the body returns all the same", async () => {
    await rejects(untilSignal(() => reject(stray), setUp().options), stray);
  });
  await t.step("when the body fails with another one", async () => {
    const other = new Error("other");
    const run = untilSignal(async () => {
      await reject(stray);
      throw other;
    }, setUp().options);
    await rejects(run, (error) => {
      equals((error as AggregateError).errors, [other, stray]);
      return true;
    });
  });
  await t.step("but an echo of the signal is none", async () => {
    const test = setUp();
    const run = untilSignal(async (signal) => {
      test.send("SIGINT");
      await reject(signal.reason);
      return 7;
    }, test.options);
    equal(await run, 7);
  });
});

/** Starts the program of testdata and follows what it says. `deno test` keeps SIGINT for itself, so it is a child. */
function startProgram() {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--quiet", import.meta.resolve("./testdata/interrupted/main.ts")],
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const lines = child.stderr.pipeThrough(new TextDecoderStream());
  let text = "";
  const reader = lines.getReader();
  return {
    child,
    /** Reads on until these words came. */
    async until(words: string): Promise<void> {
      while (!text.includes(words)) {
        const { value, done } = await reader.read();
        ok(!done, `ended without "${words}": ${text}`);
        text += value;
      }
    },
    /** Reads all that is left; the exit code. */
    async end(): Promise<{ code: number; text: string }> {
      for (let part; !(part = await reader.read()).done;) text += part.value;
      return { code: (await child.status).code, text };
    },
  };
}

Deno.test("a program that gets a real signal cleans up and ends with 128 plus its number", async (t) => {
  for (const [name, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    await t.step(name, async () => {
      const { child, until, end } = startProgram();
      await until("T: Running\n");
      child.kill(name);
      await until("Cleaning up ...");
      await child.stdin.close();
      const { code: got, text } = await end();
      equal(got, code);
      ok(text.endsWith("T: Cleaned up\n"), text);
    });
  }
});

Deno.test("a program that gets three signals ends at once and says what is left", async () => {
  const { child, until, end } = startProgram();
  await until("T: Running\n");
  child.kill("SIGINT");
  await until("Cleaning up ...");
  await new Promise((resolve) => setTimeout(resolve, 300)); // closer signals are one wish
  child.kill("SIGINT");
  await until("Still cleaning up ...");
  await new Promise((resolve) => setTimeout(resolve, 300));
  child.kill("SIGTERM");
  const { code, text } = await end();
  equal(code, 143);
  ok(text.endsWith("T:   deployment/x in namespace y\n"), text);
  await child.stdin.close().catch(() => {});
});
