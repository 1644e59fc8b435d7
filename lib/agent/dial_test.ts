import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DialError, type ErrnoName } from "@/pod/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { type Duplex, duplexPair, sleep } from "@/util/mod.ts";
import { race, takeTurns } from "./dial.ts";
import { toDialError } from "./errno.ts";

const never = new AbortController().signal;

Deno.test("takeTurns() lets the families take turns, the first one's first", () => {
  equals(takeTurns(["::1", "::2", "10.0.0.1"]), ["::1", "10.0.0.1", "::2"]);
  equals(takeTurns(["10.0.0.1", "10.0.0.2", "::1"]), ["10.0.0.1", "::1", "10.0.0.2"]);
  equals(takeTurns(["10.0.0.1"]), ["10.0.0.1"]);
});

/** Attempts by address: a connection, an errno, or silence until it is stopped. */
function attempts(table: Record<string, "connects" | "silence" | ErrnoName>) {
  const begun: string[] = [];
  const connections = new Map<string, { duplex: Duplex; closed: boolean }>();
  const connect = async (address: string, signal: AbortSignal): Promise<Duplex> => {
    begun.push(address);
    const fate = table[address];
    if (fate === "silence") {
      return await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    }
    await undefined;
    if (fate !== "connects") throw new DialError(fate ?? "EIO", address);
    const [duplex] = duplexPair();
    const kept = { duplex: { ...duplex, close: () => void (kept.closed = true) }, closed: false };
    connections.set(address, kept);
    return kept.duplex;
  };
  return { begun, connections, connect };
}

Deno.test("race() goes on to the next address at once when one fails, and not at all when one connects", async () => {
  const { begun, connect } = attempts({ a: "ECONNREFUSED", b: "connects", c: "connects" });
  await race(["a", "b", "c"], connect, never, 1e6);
  equals(begun, ["a", "b"]);
});

Deno.test("race() tries the next address beside one that is silent", async () => {
  const { begun, connect, connections } = attempts({ a: "silence", b: "connects" });
  equals(await race(["a", "b"], connect, never, 1), connections.get("b")?.duplex);
  equals(begun, ["a", "b"]);
});

Deno.test("race() closes a connection that comes too late", async () => {
  const late = Promise.withResolvers<void>();
  const { connect, connections } = attempts({ a: "connects", b: "connects" });
  const slow = async (address: string, signal: AbortSignal) => {
    if (address === "a") await late.promise;
    return await connect(address, signal);
  };
  await race(["a", "b"], slow, never, 1);
  late.resolve();
  await sleep(1);
  equals([connections.get("a")?.closed, connections.get("b")?.closed], [true, false]);
});

Deno.test("race() rejects with the errno that says most", async () => {
  const cases: [Record<string, ErrnoName>, ErrnoName][] = [
    [{ a: "ENETUNREACH", b: "ECONNREFUSED" }, "ECONNREFUSED"],
    [{ a: "ECONNREFUSED", b: "ENETUNREACH" }, "ECONNREFUSED"],
    [{ a: "EHOSTUNREACH", b: "ETIMEDOUT" }, "ETIMEDOUT"],
    [{ a: "ENETUNREACH" }, "ENETUNREACH"],
  ];
  for (const [table, want] of cases) {
    const { connect } = attempts(table);
    await rejects(race(Object.keys(table), connect, never, 1), (error: unknown) => {
      return error instanceof DialError && error.code === want;
    });
  }
});

Deno.test("race() ends with the signal's reason", async () => {
  const { connect } = attempts({ a: "silence", b: "silence" });
  const controller = new AbortController();
  const racing = race(["a", "b"], connect, controller.signal, 1);
  controller.abort(new Error("enough"));
  await rejects(racing, /enough/);
});

Deno.test("toDialError() finds the errno in a code, in a number in the text, and in a class", () => {
  const code = (error: unknown) => toDialError(error).code;
  equals(code(Object.assign(new Error("x"), { code: "ECONNREFUSED" })), "ECONNREFUSED");
  equals(code(new Error("No route to host (os error 113)")), "EHOSTUNREACH");
  equals(code(new Deno.errors.TimedOut("x")), "ETIMEDOUT");
  equals(code(new DialError("EPERM", "x")), "EPERM");
  equals(code("anything"), "EIO");
});

const DIAL = fileURLToPath(new URL("./dial.ts", import.meta.url));

Deno.test("dial() tells the kernel's own errno for every way in which a host cannot be reached", async (t) => {
  const script = `import { dial } from ${JSON.stringify(DIAL)};
    try { await dial(Deno.args[0], 80, new AbortController().signal); console.log("connected"); }
    catch (error) { console.log(error.name, error.code); }`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, script);
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const deno = `${Deno.execPath()} run --quiet --no-check --allow-net --config ${config} ${file}`;
    const inNamespace = async (setUp: string, address: string) => {
      const shell = `ip link set lo up && ${setUp} && exec ${deno} ${address}`;
      return await runProgram(["unshare", "--net", "--map-root-user", "sh", "-c", shell]);
    };
    const probe = await inNamespace("true", "127.0.0.1").catch(() => undefined);
    const cases = [
      { name: "nobody listens", setUp: "true", want: "ECONNREFUSED" },
      { name: "no route", setUp: "true", address: "192.0.2.1", want: "ENETUNREACH" },
      { name: "no host", setUp: "ip route add unreachable 192.0.2.0/24", address: "192.0.2.1", want: "EHOSTUNREACH" },
      { name: "forbidden", setUp: "ip route add prohibit 192.0.2.0/24", address: "192.0.2.1", want: "EACCES" },
    ];
    for (const { name, setUp, address = "127.0.0.1", want } of cases) {
      await t.step({
        name,
        ignore: probe?.code !== 0, // no right to make a network namespace here
        async fn() {
          const { stdout, stderr } = await inNamespace(setUp, address);
          ok(stdout.trim() === `DialError ${want}`, `${stdout}${stderr}`);
        },
      });
    }
  } finally {
    await Deno.remove(file);
  }
});
