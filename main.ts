/**
 * The program: parse, plan, run, exit code. The only place that ends the process.
 *
 * @module
 */
import { askForNewest, chooseAuthorities, main, systemHost } from "@/cli/mod.ts";
import { builtFor, selfCommand } from "@/process/mod.ts";
import {
  doctor,
  guard,
  GUARDIAN,
  imageFor,
  printReport,
  recover,
  runSession,
  showAgentManifest,
  showStatus,
  thisMachine,
  watchSessions,
} from "@/session/mod.ts";
import { keepHeapSmall } from "@/util/mod.ts";
import agentSource from "./build/agent.js" with { type: "text" };
import helpers from "./build/netns.json" with { type: "json" };
import shims from "./build/shims.json" with { type: "json" };
import { AGENT_IMAGE, RELEASES, REPOSITORY, VERSION } from "./version.ts";

const host = systemHost({
  version: VERSION,
  reportTo: `${REPOSITORY}/issues`,
  exit: Deno.exit,
  run: (flags, around) =>
    runSession(flags, {
      ...around,
      version: VERSION,
      chooseAuthorities,
      agentSource,
      agentImage: AGENT_IMAGE,
      shim: embedded(Deno.build.arch),
      launcher: embedded(`${Deno.build.arch}-launcher`),
      self: startedAgain,
      terminal: pathOfTerminal(),
      netns: helper,
    }),
  command(command, around) {
    const options = { ...around, say: (line: string) => around.teller.say(line) };
    // These may speak to several clusters: those whose kubeconfig names authorities are known by them alone all the same.
    if (command.kind !== "doctor") chooseAuthorities("system");
    switch (command.kind) {
      case "recover":
        return recover(command, { ...options, netns: helper });
      case "status":
        return showStatus(command, { ...options, version: VERSION });
      case "report":
        return printReport(command.file, around.print);
      case "watch":
        return watchSessions(command, options);
      case "newest":
        return askForNewest({
          ...around,
          ...command,
          version: VERSION,
          releases: around.env["TELEPRESENCE_RELEASES"] ?? RELEASES,
        });
      case "doctor": {
        const machine = thisMachine(
          { shim: embedded(Deno.build.arch), netns: helper },
          around.env,
        );
        return doctor(command, { ...options, machine, image: imageFor(around.env, AGENT_IMAGE), chooseAuthorities });
      }
      case "agent-manifest":
        return showAgentManifest(command, { ...options, agentSource, image: imageFor(around.env, AGENT_IMAGE) });
    }
  },
});

void keepHeapSmall();

// The same program in another role: started by a session, never by a user.
if (Deno.args[0] === GUARDIAN) {
  Deno.exit(await guard({ input: Deno.stdin.readable, say: tellTerminal, chooseAuthorities }));
}

// Everything was given back when `main` returns; a timer that somebody forgot is not to hold up the user's prompt.
Deno.exit(await main(Deno.args, host));

/** The path of the terminal that our standard error is. */
function pathOfTerminal(): string | undefined {
  if (!Deno.stderr.isTerminal()) return undefined;
  try {
    return Deno.readLinkSync("/proc/self/fd/2");
  } catch {
    return undefined;
  }
}

/** For the guardian, which has no terminal of its own. */
function tellTerminal(line: string, terminal: string | undefined): void {
  try {
    if (terminal !== undefined) Deno.writeTextFileSync(terminal, `T: ${line}\r\n`, { append: true, create: false });
  } catch {
    // It was closed: nobody is there to be told.
  }
}

/** The command that starts this program again with these words, however it was delivered. */
function startedAgain(args: readonly string[]): [string, ...string[]] {
  return selfCommand(
    { standalone: Deno.build.standalone, execPath: Deno.execPath(), mainModule: Deno.mainModule },
    args,
  );
}

/** What is built from C for this machine, where we have it: the preload library and the launcher. */
function embedded(name: string): Uint8Array<ArrayBuffer> | undefined {
  return builtFor(Deno.build, shims, name);
}

/** The program that makes namespaces on this machine, where we have one. */
async function helper(): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const compressed = builtFor(Deno.build, helpers, Deno.build.arch);
  if (compressed === undefined) return undefined;
  return await new Response(new Blob([compressed]).stream().pipeThrough(new DecompressionStream("gzip"))).bytes();
}
