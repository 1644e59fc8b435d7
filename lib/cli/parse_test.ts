import { deepStrictEqual as equals, ok, throws } from "node:assert/strict";
import type { WorkloadKind } from "@/session/mod.ts";
import { isLater, ROWS } from "./flag_table.ts";
import type { Flags } from "./flags.ts";
import { parse } from "./parse.ts";
import { UsageError } from "./usage_error.ts";

const NOTHING_GIVEN: Flags = {
  operation: { kind: "new" },
  expose: [],
  toPod: [],
  fromPod: [],
  initContainers: true,
  recover: false,
  takeOver: false,
  publish: [],
  neverProxy: [],
  alsoProxy: [],
  localCluster: false,
  run: { kind: "shell" },
  verbose: false,
  quiet: false,
  environment: { set: {}, unset: [] },
  environmentFiles: {},
  volumes: { at: { kind: "temporary" }, mode: "auto" },
};

/** Checks the meaning of a line, given as what is different from an empty one. */
function means(line: readonly string[], want: Partial<Flags>): void {
  equals(parse(line), { kind: "run", flags: { ...NOTHING_GIVEN, ...want }, warnings: [] });
}

/** Checks the sentence, and the hints, that a line is refused with. */
function refused(line: readonly string[], message: string, hints?: readonly string[]): void {
  throws(() => parse(line), (error) => {
    ok(error instanceof UsageError);
    equals(error.message, message);
    if (hints !== undefined) equals(error.hints, hints);
    return true;
  });
}

/** A command line as one string, for tables: words are separated by one blank each. */
const words = (line: string) => line === "" ? [] : line.split(" ");

Deno.test("parse() gives the meaning of each form that argparse takes", async (t) => {
  const named = { operation: { kind: "new", name: "a" } } as const;
  const table: readonly (readonly [string, Partial<Flags>])[] = [
    ["", {}],
    ["-n a", named],
    ["-na", named],
    ["-n=a", named],
    ["--new-deployment a", named],
    ["--new-deployment=a", named],
    ["-n b -n a", named],
    ["--new-deployment 0a", { operation: { kind: "new", name: "0a" } }],
    ["-m inject-tcp", { method: "inject-tcp" }],
    ["--method=inject-tcp", { method: "inject-tcp" }],
    ["-m namespace", { method: "namespace" }],
    ["-m namespace -m inject-tcp", { method: "inject-tcp" }],
    ["--mount=false", { volumes: { at: { kind: "nowhere" }, mode: "auto" } }],
    ["--mount No", { volumes: { at: { kind: "nowhere" }, mode: "auto" } }],
    ["--mount-mode copy", { volumes: { at: { kind: "temporary" }, mode: "copy" } }],
    ["--mount=TRUE", {}],
    ["--mount yes", {}],
    ["--mount 1", {}],
    ["--mount /tmp/known", { volumes: { at: { kind: "path", path: "/tmp/known" }, mode: "auto" } }],
    ["--context a/b:6443 --namespace n", { context: "a/b:6443", namespace: "n" }],
    ["--expose 80", { expose: [{ host: 80, pod: 80 }] }],
    ["--expose=8080:80 --expose 1:65535", { expose: [{ host: 8080, pod: 80 }, { host: 1, pod: 65535 }] }],
    ["--env-json a.json --env-file=b.env", { environmentFiles: { json: "a.json", file: "b.env" } }],
    ["--env A=b=c --env B= --env A=d", { environment: { set: { A: "d", B: "" }, unset: [] } }],
    ["--env-unset *_PORT_* --env-unset=X", { environment: { set: {}, unset: ["*_PORT_*", "X"] } }],
    ["--publish 3000 --publish=80 --publish 3000", { publish: [3000, 80] }],
    ["--never-proxy db.example.com --never-proxy=10.0.0.0/8", { neverProxy: ["db.example.com", "10.0.0.0/8"] }],
    ["--also-proxy db.example.com --also-proxy=10.0.0.7/8", { alsoProxy: ["db.example.com", "10.0.0.7/8"] }],
    ["--method vpn-tcp --local-cluster", { method: "vpn-tcp", localCluster: true }],
    ["--never-proxy 2001:db8::/32 --never-proxy my_host.", { neverProxy: ["2001:db8::/32", "my_host."] }],
    ["--logfile -", { logfile: "-" }],
    ["--logfile=-", { logfile: "-" }],
    ["--verbose --verbose", { verbose: true }],
    ["--run-shell", {}],
    ["--run", {}],
    ["--run ls", { run: { kind: "command", words: ["ls"] } }],
    ["--run ls -n x --run y --help", { run: { kind: "command", words: ["ls", "-n", "x", "--run", "y", "--help"] } }],
    ["--run -- ls -- -l", { run: { kind: "command", words: ["ls", "--", "-l"] } }],
    ["--run=ls --verbose", { run: { kind: "command", words: ["ls"] }, verbose: true }],
    ["--run version", { run: { kind: "command", words: ["version"] } }],
  ];
  for (const [line, want] of table) await t.step(`telepresence ${line}`, () => means(words(line), want));
  await t.step("an empty word and one with blanks arrive as they are", () => {
    means(["--run", "printf", "", "a  b\n"], { run: { kind: "command", words: ["printf", "", "a  b\n"] } });
  });
});

Deno.test("parse() acts on --help and --version where they stand", async (t) => {
  const table = [
    ["--help", "help"],
    ["-h", "help"],
    ["--verbose -h", "help"],
    ["--bogus --help", "help"],
    ["-s x --help", "help"],
    ["--help --method bogus", "help"],
    ["--help --version", "help"],
    ["--version", "version"],
    ["--version --run ls", "version"],
  ] as const;
  for (const [line, kind] of table) await t.step(line, () => equals(parse(words(line)), { kind }));
  await t.step("what is wrong before them comes first", () => {
    throws(() => parse(["--method", "bogus", "--help"]), UsageError);
  });
});

Deno.test("parse() refuses in argparse's words", async (t) => {
  const table: readonly (readonly [string, string])[] = [
    ["--bogus", "unrecognized arguments: --bogus"],
    ["--bogus foo --expose 80 bar", "unrecognized arguments: --bogus foo bar"],
    ["--bogus=1 -x", "unrecognized arguments: --bogus=1 -x"],
    ["-xyz", "unrecognized arguments: -xyz"],
    ["--new-dep a", "unrecognized arguments: --new-dep a"],
    ["--Verbose", "unrecognized arguments: --Verbose"],
    ["--no-verbose", "unrecognized arguments: --no-verbose"],
    ["foo --run ls", "unrecognized arguments: foo"],
    ["--run=ls -l", "unrecognized arguments: -l"],
    ["-- --verbose", "unrecognized arguments: -- --verbose"],
    ["--verbose=1", "argument --verbose: ignored explicit argument '1'"],
    ["--run-shell=bash", "argument --run-shell: ignored explicit argument 'bash'"],
    [
      "-m bogus",
      "argument --method/-m: invalid choice: 'bogus' (choose from 'inject-tcp', 'namespace', 'vpn-tcp', 'container')",
    ],
    [
      "--method=",
      "argument --method/-m: invalid choice: '' (choose from 'inject-tcp', 'namespace', 'vpn-tcp', 'container')",
    ],
    ["-m", "argument --method/-m: expected one argument"],
    ["--expose", "argument --expose: expected one argument"],
    ["--expose -n x", "argument --expose: expected one argument"],
    ["--namespace --run ls", "argument --namespace: expected one argument"],
    ["--logfile --", "argument --logfile: expected one argument"],
    ["--to-pod x", "argument --to-pod: invalid int value: 'x'"],
    ["--from-pod 1.5", "argument --from-pod: invalid int value: '1.5'"],
    ["--mount fs", "argument --mount: Value must be true, false, or an absolute filesystem path"],
    ["--docker-mount fs", "argument --docker-mount: Value must be an absolute filesystem path"],
    ["--logfile=", "argument --logfile: expected a path"],
    ["--context=", "argument --context: expected the name of a context"],
  ];
  for (const [line, message] of table) await t.step(line, () => refused(words(line), message));
});

Deno.test("parse() refuses flags that exclude each other, before what is not built yet", async (t) => {
  const table: readonly (readonly [string, string])[] = [
    ["-n a -s b", "argument --swap-deployment/-s: not allowed with argument --new-deployment/-n"],
    ["-s b -na", "argument --new-deployment/-n: not allowed with argument --swap-deployment/-s"],
    ["-d a -s b", "argument --swap-deployment/-s: not allowed with argument --deployment/-d"],
    ["--run-shell --run ls", "argument --run: not allowed with argument --run-shell"],
    ["--run-shell --run", "argument --run: not allowed with argument --run-shell"],
    ["--run-shell --docker-run x", "argument --docker-run: not allowed with argument --run-shell"],
    ["--run=ls --run-shell", "argument --run-shell: not allowed with argument --run"],
    ["--mount=true --docker-mount=/x", "argument --docker-mount: not allowed with argument --mount"],
    ["--env-file x --bogus", "unrecognized arguments: --bogus"],
  ];
  for (const [line, message] of table) await t.step(line, () => refused(words(line), message));
});

Deno.test("parse() reads what is swapped, and with what", async (t) => {
  const swap = (kind: WorkloadKind, name: string, container?: string) =>
    ({ operation: { kind: "swap", workload: { kind, name }, ...(container && { container }) } }) as const;
  const table: readonly (readonly [string, Partial<Flags>])[] = [
    ["-s web", swap("deployment", "web")],
    ["-sweb", swap("deployment", "web")],
    ["--swap-deployment web.v1:app", swap("deployment", "web.v1", "app")],
    ["--swap-deployment=deployment/web", swap("deployment", "web")],
    ["-s deployments.apps/web", swap("deployment", "web")],
    ["-s sts/db", swap("statefulset", "db")],
    ["-s StatefulSet/db:pg", swap("statefulset", "db", "pg")],
    ["-s replicaset/web", swap("replicaset", "web")],
    ["-s ds/log", swap("daemonset", "log")],
    ["-s pod/one", swap("pod", "one")],
    ["--serviceaccount bob", { serviceAccount: "bob" }],
    ["--to-pod 80 --to-pod 81 --to-pod 80 --from-pod 82", { toPod: [80, 81], fromPod: [82] }],
    ["--no-init-containers --give-back-timeout 5", { initContainers: false, giveBackTimeoutMs: 5000 }],
    ["--recover", { recover: true }],
    ["--plan", { show: "text" }],
    ["--plan --output json", { show: "json" }],
  ];
  for (const [line, want] of table) await t.step(line, () => means(words(line), want));
  const refusals: readonly (readonly [string, RegExp])[] = [
    ["-s Web", /argument --swap-deployment\/-s: invalid workload: 'Web'/],
    ["-s a:b:c", /invalid workload: 'a:b:c'/],
    ["-s a:B", /invalid container: 'B'/],
    [
      "-s job/x",
      /invalid kind of workload: 'job' \(choose from deployment, statefulset, replicaset, daemonset, pod\)$/,
    ],
    ["-s dc/x", /DeploymentConfigs of OpenShift are not swapped: 'oc scale dc\/x --replicas=0'/],
    ["--output json", /argument --output: only with --plan$/],
    ["--output xml --plan", /invalid choice: 'xml'/],
    ["--give-back-timeout soon", /invalid number of seconds: 'soon'/],
    ["--serviceaccount Bob", /invalid name: 'Bob'/],
    ["--to-pod 0", /invalid port: '0'/],
    ["--to-pod 80 --expose 80:81", /--to-pod: port 80 of this machine is where the command is to listen/],
    ["--from-pod 80 --to-pod 80", /--to-pod: port 80 of this machine is where/],
    ["--publish 80 --to-pod 80", /--to-pod: port 80 of this machine is where/],
    ...["10", "1.2.3", "10.0.0.0/33", "10/8", "a_,b", "-x", "http://a", "a..b", "a/8", "::1/129", ""].map((host) =>
      [`--never-proxy=${host}`, /argument --never-proxy: invalid host: /] as [string, RegExp]
    ),
    ["--from-pod 70000", /invalid port: '70000'/],
    ["--expose 8080:80 --from-pod 80", /argument --from-pod: --expose has the pod's port 80 already$/],
  ];
  for (const [line, sentence] of refusals) await t.step(line, () => void throws(() => parse(words(line)), sentence));
});

Deno.test("parse() checks ports", async (t) => {
  for (
    const value of ["0", "65536", "80:0", "70000:80", "a", "80:", ":80", "1:2:3", "80/tcp", "8 0", "", "0x50", "1e3"]
  ) {
    await t.step(`"${value}"`, () => {
      const why = `invalid port: '${value}' (expected PORT or LOCAL:REMOTE, each from 1 to 65535)`;
      refused([`--expose=${value}`], `argument --expose: ${why}`);
    });
  }
  const twins: readonly (readonly [string, string, string])[] = [
    ["8080:80", "9090:80", "the pod's port 80"],
    ["80", "9090:80", "the pod's port 80"],
    ["8080:80", "8080:81", "port 8080 of this machine"],
    ["80", "80", "the pod's port 80"],
  ];
  for (const [a, b, what] of twins) {
    await t.step(`${a} and ${b}`, () => {
      refused(
        ["--expose", a, "--expose", "1:2", "--expose", b],
        `argument --expose: '${a}' and '${b}' both use ${what}`,
      );
    });
  }
});

Deno.test("parse() checks names as Kubernetes would", async (t) => {
  const rule = 'a name has at most 63 characters a-z, 0-9 and "-", and begins and ends with a letter or a digit';
  for (const name of ["Foo", "a_b", "a.b", "-a", "a-", "", "a b", "ä", "a".repeat(64)]) {
    await t.step(`"${name}"`, () => {
      refused([`--new-deployment=${name}`], `argument --new-deployment/-n: invalid name: '${name}' (${rule})`);
      refused([`--namespace=${name}`], `argument --namespace: invalid namespace: '${name}' (${rule})`);
    });
  }
  for (const name of ["a", "0", "a-b", "a--b", "a".repeat(63)]) {
    await t.step(`"${name}" is fine`, () => means(["--namespace", name], { namespace: name }));
  }
  await t.step("the name of a Service begins with a letter", () => {
    refused(
      words("-n 0a --expose 80"),
      "argument --new-deployment/-n: invalid name: '0a' (with --expose it names a Service too, which begins with a letter)",
    );
  });
});

Deno.test("parse() recognizes each flag of Telepresence 1 that is not built yet, and says what works instead", async (t) => {
  const values: Record<string, string> = { "--docker-mount": "/x" };
  for (const flag of ROWS.filter(isLater)) {
    await t.step(flag.long, () => {
      const line = flag.value === undefined ? [flag.long] : [flag.long, values[flag.long] ?? "x"];
      throws(() => parse(line), (error) => {
        ok(error instanceof UsageError);
        const name = flag.short === undefined ? flag.long : `${flag.long}/${flag.short}`;
        ok(error.message.startsWith(`argument ${name}: not built yet: `), error.message);
        ok(!/\bTODO\b|\.$/.test(error.message));
        return true;
      });
    });
  }
  for (const method of ["container"]) {
    await t.step(`--method ${method}`, () => {
      const instead = "--method inject-tcp captures the command and what it starts, without root";
      refused(["--method", method], `argument --method/-m: ${method} is not built yet: ${instead}`);
    });
  }
  await t.step("all are there", () => {
    const expected = "container-to-host docker-mount docker-run";
    equals(ROWS.filter(isLater).map(({ long }) => long.slice(2)), expected.split(" "));
  });
});

Deno.test("parse() refuses a variable without a name or a value, and what is no pattern or path", async (t) => {
  for (const value of ["A", "=b", "", "="]) {
    await t.step(`--env=${value}`, () => {
      refused([`--env=${value}`], `argument --env: invalid variable: '${value}' (expected NAME=VALUE)`);
    });
  }
  await t.step("--env-unset=", () => refused(["--env-unset="], "argument --env-unset: expected a pattern"));
  for (const flag of ["--env-json", "--env-file"]) {
    await t.step(`${flag}=`, () => refused([`${flag}=`], `argument ${flag}: expected a path`));
  }
  await t.step("a value of several lines arrives as it is", () => {
    means(["--env", "A=1\n=2\n"], { environment: { set: { A: "1\n=2\n" }, unset: [] } });
  });
});

Deno.test("parse() takes a subcommand as the first word only", async (t) => {
  for (const name of ["recover", "status", "agent-manifest", "doctor", "completion", "version"] as const) {
    await t.step(name, () => {
      equals(parse([name, "--all", "x"]), { kind: "subcommand", name, args: ["--all", "x"] });
      refused(["--verbose", name], `unrecognized arguments: ${name}`, [`${name} stands first: telepresence ${name}`]);
    });
  }
  await t.step("not a property of each object", () => refused(["constructor"], "unrecognized arguments: constructor"));
});

Deno.test("parse() hints at what may have been meant", async (t) => {
  const table: readonly (readonly [string, string, readonly string[]])[] = [
    ["--nmespace x", "--nmespace x", ["did you mean --namespace?"]],
    ["--namespcae=x", "--namespcae=x", ["did you mean --namespace?"]],
    ["--exposed 80", "--exposed 80", ["did you mean --expose?"]],
    ["-run ls", "-run ls", ["did you mean --run?"]],
    ["--quack", "--quack", []],
    ["-x", "-x", []],
    ["recvoer", "recvoer", ["did you mean telepresence recover?"]],
    ["state", "state", ["did you mean telepresence status?"]],
    ["curl http://x", "curl http://x", ["to run a command: telepresence --run curl http://x"]],
    ["run curl http://x", "run curl http://x", ["to run a command: telepresence --run curl http://x"]],
    ["exec -- ls", "exec -- ls", ["to run a command: telepresence --run ls"]],
    ["-s web -- ls -l", "-- ls -l", ["to run a command: telepresence -s web --run ls -l"]],
    ["--", "--", []],
    ["-v", "-v", ["did you mean --verbose, or --version?"]],
    ["-V", "-V", ["did you mean --version?"]],
    ["--port 8080", "--port 8080", ["did you mean --expose?"]],
    ["constructor", "constructor", ["to run a command: telepresence --run constructor"]],
    ["-xn foo", "-xn foo", []],
    ["curl -n a", "curl", []],
    ["--verbose recvoer", "recvoer", []],
  ];
  for (const [line, strays, hints] of table) {
    await t.step(line, () => refused(words(line), `unrecognized arguments: ${strays}`, hints));
  }
});

Deno.test("parse() warns of our own options at the end of the command (T4)", async (t) => {
  const table: readonly (readonly [string, string | undefined])[] = [
    ["--run curl x --namespace foo", "--namespace"],
    ["--run curl x --namespace=foo", "--namespace"],
    ["--run curl --expose 80", "--expose"],
    ["--run curl x --swap-deployment web", "--swap-deployment"],
    ["--run curl x", undefined],
    ["--run curl --namespace foo x", undefined],
    ["--run app --verbose", undefined],
    ["--run app --version", undefined],
    ["--run app --help", undefined],
    ["--run app -n foo", undefined],
    ["--run --namespace foo", undefined],
    ["--run kubectl get pods --namespace foo", undefined],
    ["--run /usr/bin/helm list --namespace=foo", undefined],
  ];
  for (const [line, flag] of table) {
    await t.step(line, () => {
      const invocation = parse(words(line));
      ok(invocation.kind === "run");
      equals(
        invocation.warnings,
        flag === undefined ? [] : [
          `Warning: ${flag} behind --run belongs to "curl". If it was meant for telepresence, put it before --run.`,
        ],
      );
    });
  }
});

Deno.test("parse() translates what is typed in Telepresence 2 and mirrord, names and all", async (t) => {
  const swap = "to take a workload's place: telepresence --swap-deployment";
  const table: readonly (readonly [string, string])[] = [
    ["intercept web --port 8080", `${swap} web --expose 8080 --run COMMAND`],
    ["intercept web --port=8080:http", `${swap} web --expose 8080 --run COMMAND`],
    ["replace web", `${swap} web --expose PORT --run COMMAND`],
    ["intercept", `${swap} NAME --expose PORT --run COMMAND`],
    ["exec --target deployment/web -- node app.js --port 1", `${swap} deployment/web --run node app.js --port 1`],
    ["exec -t web", `${swap} web --run COMMAND`],
    ["quit", "nothing goes on in the background: a session ends with its command"],
    ["leave web", "a session ends with its command"],
    ["uninstall --everything", "there is nothing to install in the cluster, and nothing stays in it"],
    ["gather-logs", "the log is telepresence.log in the current directory; --verbose writes all of it"],
  ];
  for (const [line, hint] of table) {
    await t.step(line, () => {
      throws(() => parse(words(line)), (error: unknown) => {
        ok(error instanceof UsageError);
        equals(error.hints, [hint, "from another tool: telepresence help migration"]);
        return true;
      });
    });
  }
});
