import { deepStrictEqual as equals, match, ok, strictEqual as equal, throws } from "node:assert/strict";
import { UserError } from "@/util/mod.ts";
import { type LogfileOptions, openLogfile } from "./logfile.ts";

/** A folder to work in, a home, and what was told. */
function setUp() {
  const cwd = Deno.makeTempDirSync({ prefix: "cli-" });
  const home = `${cwd}/home`;
  const said: string[] = [];
  const printed: string[] = [];
  const open = (options: Partial<LogfileOptions> = {}) =>
    openLogfile({
      verbose: false,
      env: {},
      home,
      cwd: () => cwd,
      say: (line) => said.push(line),
      writeStdout: (text) => printed.push(text),
      ...options,
    });
  return { cwd, home, said, printed, open, [Symbol.dispose]: () => Deno.removeSync(cwd, { recursive: true }) };
}

const modeOf = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o777;
/** Lines of a log, without the time. */
const linesOf = (path: string) =>
  Deno.readTextFileSync(path).split("\n").map((line) => line.replace(/^ *\d+\.\d /, ""));

Deno.test("openLogfile() makes telepresence.log in the current directory, for its owner alone", () => {
  using place = setUp();
  using logfile = place.open();
  equal(logfile.path, `${place.cwd}/telepresence.log`);
  equal(modeOf(logfile.path), 0o600);
  logfile.log.info("one\ntwo");
  logfile.log.debug("not verbose");
  equals(linesOf(logfile.path), ["TEL  | one", "TEL  | two", ""], "each line is there at once");
  equals(place.said, []);
});

Deno.test("openLogfile() empties a log that is there and narrows its mode", () => {
  using place = setUp();
  const path = `${place.cwd}/telepresence.log`;
  Deno.writeTextFileSync(path, "old\n".repeat(100));
  Deno.chmodSync(path, 0o664);
  using logfile = place.open({ verbose: true });
  logfile.log.room("DNS").debug("new");
  equal(modeOf(path), 0o600);
  equals(linesOf(path), ["DNS  | new", ""]);
});

Deno.test("openLogfile() goes where --logfile says", async (t) => {
  using place = setUp();
  await t.step("relative to the current directory", () => {
    using logfile = place.open({ path: "x.log" });
    equal(logfile.path, `${place.cwd}/x.log`);
  });
  await t.step("absolute", () => {
    using logfile = place.open({ path: `${place.cwd}/y.log` });
    equal(logfile.path, `${place.cwd}/y.log`);
  });
  await t.step("- is the standard output", () => {
    using logfile = place.open({ path: "-" });
    logfile.log.info("hello");
    equal(logfile.path, "-");
    match(place.printed.join(""), /^ +0\.\d TEL {2}\| hello\n$/);
  });
  await t.step("/dev/null stays as it is", () => {
    const before = Deno.statSync("/dev/null").mode;
    using logfile = place.open({ path: "/dev/null" });
    logfile.log.info("hello");
    equals([logfile.path, Deno.statSync("/dev/null").mode], ["/dev/null", before]);
    equal(logfile.lastLines(12).length, 1);
  });
  await t.step("to where nothing can be made: an error, as somebody waits for the log there", () => {
    throws(() => place.open({ path: "none/x.log" }), (error) => {
      ok(error instanceof UserError);
      equal(error.message, `Failed to open logfile (${place.cwd}/none/x.log): No such file or directory`);
      equals(error.hints.length, 1);
      return true;
    });
  });
  equals(place.said, []);
});

Deno.test("openLogfile() goes to the state directory when the folder cannot be written, in one line", async (t) => {
  const table = [
    { name: "~/.local/state", env: () => ({}), want: "home/.local/state" },
    { name: "XDG_STATE_HOME", env: (cwd: string) => ({ XDG_STATE_HOME: `${cwd}/state` }), want: "state" },
    { name: "a relative XDG_STATE_HOME is none", env: () => ({ XDG_STATE_HOME: "state" }), want: "home/.local/state" },
  ];
  for (const { name, env, want } of table) {
    await t.step(name, () => {
      using place = setUp();
      Deno.mkdirSync(`${place.cwd}/telepresence.log`); // root may write everywhere, but not to a folder
      using logfile = place.open({ env: env(place.cwd) });
      logfile.log.info("hello");
      const folder = `${place.cwd}/${want}/telepresence`;
      equal(logfile.path, `${folder}/telepresence.log`);
      equals([modeOf(folder), modeOf(logfile.path)], [0o700, 0o600]);
      equals(linesOf(logfile.path), ["TEL  | hello", ""]);
      equals(place.said, [
        `Cannot write telepresence.log in the current directory (Is a directory): the log is ${logfile.path}`,
      ]);
    });
  }
});

Deno.test("openLogfile() follows no symlink to a file that nobody named: it would be emptied", () => {
  using place = setUp();
  Deno.mkdirSync(place.home);
  Deno.writeTextFileSync(`${place.home}/mine`, "mine");
  Deno.symlinkSync(`${place.home}/mine`, `${place.cwd}/telepresence.log`);
  using logfile = place.open();
  equal(Deno.readTextFileSync(`${place.home}/mine`), "mine");
  match(place.said.join(), /^Cannot write telepresence\.log .*it is a symlink to another file.*: the log is /);
  Deno.removeSync(`${place.cwd}/telepresence.log`);
  Deno.symlinkSync(`${place.home}/new`, `${place.cwd}/telepresence.log`);
  using other = place.open();
  equals([other.path, place.said.length], [logfile.path, 2]);
  throws(() => Deno.statSync(`${place.home}/new`), Deno.errors.NotFound);
  Deno.removeSync(`${place.cwd}/telepresence.log`);
  Deno.symlinkSync("/dev/null", `${place.cwd}/telepresence.log`);
  using toNull = place.open();
  equals([logfile.path.startsWith(place.home), toNull.path], [true, `${place.cwd}/telepresence.log`]);
});

Deno.test("openLogfile() says so when no place is left", () => {
  using place = setUp();
  Deno.mkdirSync(`${place.cwd}/telepresence.log`);
  Deno.writeTextFileSync(place.home, "a file");
  throws(() => place.open(), (error) => {
    ok(error instanceof UserError);
    const folder = `${place.home}/.local/state/telepresence`;
    equal(error.message, `Cannot write telepresence.log in the current directory, nor in ${folder}: Not a directory`);
    return true;
  });
});

Deno.test("openLogfile() needs a current directory", () => {
  using place = setUp();
  const cwd = () => {
    throw new Deno.errors.NotFound("No such file or directory (os error 2)");
  };
  throws(() => place.open({ cwd }), { name: "UserError", message: "Current working directory does not exist." });
});

Deno.test("lastLines() gives the end of the log, at most twelve lines, and after the file is closed too", () => {
  using place = setUp();
  using logfile = place.open();
  equals(logfile.lastLines(12), []);
  for (let i = 1; i <= 20; i++) logfile.log.info(`line ${i}`);
  logfile[Symbol.dispose]();
  logfile.log.info("token: abc");
  const ends = logfile.lastLines(100).map((line) => line.slice(14));
  equals(
    ends,
    [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20].map((i) => `line ${i}`).concat("token: Masked-by-Telepresence"),
  );
  equals(logfile.lastLines(0), []);
});

Deno.test({
  name: "a full disk ends the log and not the session",
  ignore: Deno.build.os !== "linux",
  fn() {
    using place = setUp();
    using logfile = place.open({ path: "/dev/full" });
    logfile.log.info("one");
    logfile.log.info("two");
    equals(place.said, [
      "Cannot write the log /dev/full: No space left on device. The session goes on without it.",
    ]);
    equal(logfile.lastLines(12).length, 2);
  },
});
