import { type Log, silentLog } from "@/log/mod.ts";
import type { Teller } from "@/session/mod.ts";
import { type Command, type OwnCommand, readCommand } from "./commands.ts";
import { complete, formatCompletion } from "./complete.ts";
import { completionScript } from "./completion_scripts.ts";
import type { Flags } from "./flags.ts";
import { help } from "./help.ts";
import { openLive, patience } from "./live.ts";
import { manPage } from "./man.ts";
import { helpOn, topics } from "./topics.ts";
import { type Logfile, openLogfile } from "./logfile.ts";
import { lostVariables, requireUtf8 } from "./not_utf8.ts";
import { type Invocation, parse } from "./parse.ts";
import { report, stacksOf } from "./report.ts";
import { type SignalName, untilSignal } from "./signals.ts";
import { makeTerminal, type Screen, type Terminal } from "./terminal.ts";

/** What the command line needs of the machine and of the program around it. */
export interface Host extends Screen {
  /** The environment. */
  readonly env: Readonly<Record<string, string>>;
  /** The user's home directory. */
  readonly home: string;
  /** The current directory. @throws when there is none */
  cwd(): string;
  /** The program's version. */
  readonly version: string;
  /** Where a bug is reported. */
  readonly reportTo: string;
  /** Ends the process at once; only a third signal does so. */
  exit(code: number): void;
  /** Runs a session. */
  readonly run: RunSession;
  /** Runs a subcommand. */
  readonly command: RunCommand;
  /** Reads one line of the user's, where both ends are a terminal. */
  readonly readLine?: () => Promise<string>;
  /** Our words or our environment as the kernel has them, where it tells. */
  readonly bytesOf?: (what: "cmdline" | "environ") => Uint8Array | undefined;
  /** Aborts when a completion is to do without what it still waits for. @default {300 ms from the program's start} */
  readonly patience?: () => AbortSignal;
  /** Calls back at each signal, until disposed of. @default {those of the system} */
  listen?(callback: (signal: SignalName) => void): Disposable;
}

/**
 * Runs a session to its end: everything is given back when it returns or throws.
 *
 * @returns the exit code that the user's command chose, even if a signal ended the session
 * @throws {UserError} when it cannot be, {@linkcode Interrupted} (the signal's reason) when a signal ended it first
 */
export type RunSession = (flags: Flags, around: Around) => Promise<number>;

/** Runs a subcommand to its end, and says with which exit code to end. */
export type RunCommand = (command: Command, around: CommandAround) => Promise<number>;

/** What a subcommand gets from the command line beside its words. */
export interface CommandAround extends Pick<Around, "teller" | "signal" | "env" | "home" | "log" | "print"> {
  /** Writes a text over the one before it, on a terminal of so many columns; undefined where that cannot be. */
  readonly frame?: Terminal["frame"];
}

/** What a session gets from the command line beside its flags. */
export interface Around {
  /** The session's log. */
  readonly log: Log;
  /** Who tells the user. */
  readonly teller: Teller;
  /** Aborts with {@linkcode Interrupted} when a signal came; clean-up does not listen to it. */
  readonly signal: AbortSignal;
  /** The environment. */
  readonly env: Readonly<Record<string, string>>;
  /** The user's home directory. */
  readonly home: string;
  /** Writes what was asked for to the standard output. */
  print(text: string): void;
  /** Asks the user a question that is answered by yes or no; absent where nobody can answer. */
  readonly ask?: (question: string) => Promise<boolean>;
  /** Takes a getter of what would be left if the process ended now, as words for the user: `deployment/x`. */
  onLeftovers(names: () => readonly string[]): void;
}

/** Does what the command line asks for, and says with which exit code to end. Never throws. */
export async function main(argv: readonly string[], host: Host): Promise<number> {
  const terminal = makeTerminal(host);
  try {
    requireUtf8(argv, () => host.bytesOf?.("cmdline"));
    return await act(parse(argv), terminal, host);
  } catch (error) {
    return report(error, terminal, host);
  }
}

async function act(invocation: Invocation, terminal: Terminal, host: Host): Promise<number> {
  switch (invocation.kind) {
    case "help":
      terminal.print(help(host.columns()));
      return 0;
    case "version":
      terminal.print(`${host.version}\n`);
      return 0;
    case "subcommand":
      return await runSubcommand(readCommand(invocation.name, invocation.args), terminal, host);
    case "run":
      return await runFlags(invocation, terminal, host);
  }
}

async function runSubcommand(command: Command | OwnCommand, terminal: Terminal, host: Host): Promise<number> {
  switch (command.kind) {
    case "recover":
    case "status":
    case "watch":
    case "report":
    case "doctor":
    case "newest":
    case "agent-manifest":
      return await runOnCluster(command, terminal, host);
    default:
      terminal.print(await answer(command, host));
      return 0;
  }
}

/** The words of a subcommand that this room answers. */
async function answer(command: OwnCommand, host: Host): Promise<string> {
  switch (command.kind) {
    case "version":
      return `${host.version}\n`;
    case "man":
      return manPage(host.version);
    case "help":
      return command.topic === undefined ? help(host.columns()) : helpOn(command.topic, host.columns());
    case "completion":
      return completionScript(command.shell);
    case "complete": {
      const { env, home } = host;
      const signal = (host.patience ?? patience)();
      await using live = openLive({ env, home, signal, topics: topics() });
      return formatCompletion(await complete(command.words, live));
    }
  }
}

async function runOnCluster(command: Command, terminal: Terminal, host: Host): Promise<number> {
  const { env, home } = host;
  const print = (text: string) => terminal.print(text);
  return await untilSignal(
    (signal) => {
      const { frame } = terminal;
      return host.command(command, { teller: terminal, signal, env, home, print, frame, log: silentLog });
    },
    // Who stops watching gives nothing back.
    {
      say: command.kind === "watch" ? () => {} : terminal.say,
      leftovers: () => [],
      exit: host.exit,
      ...(host.listen && { listen: host.listen }),
    },
  );
}

/** A session with all that is around it: the log from before the first word, the signals, and the end in words. */
async function runFlags(
  { flags, warnings }: Invocation & { kind: "run" },
  silent: Terminal,
  host: Host,
): Promise<number> {
  using logfile = openLog(flags, silent, host);
  const { log } = logfile;
  const terminal = silent.heardBy(log, { quiet: flags.quiet });
  log.info(`telepresence ${host.version} (${Deno.build.os} ${Deno.build.arch}), ${JSON.stringify(masked(flags))}`);
  warnings.forEach(terminal.say);
  const lost = lostVariables(host.bytesOf?.("environ"));
  if (lost.length > 0) terminal.say(`Warning: the command does not get ${lost.join(", ")}: not UTF-8`);
  const { env, home } = host;
  let leftovers: () => readonly string[] = () => [];
  const { readLine } = host;
  const around = {
    log,
    teller: terminal,
    env,
    home,
    print: (text: string) => terminal.print(text),
    ...(readLine && { ask: (question: string) => ask(question, terminal, readLine) }),
    onLeftovers: (names: typeof leftovers) => leftovers = names,
  };
  try {
    const code = await untilSignal((signal) => host.run(flags, { ...around, signal }), {
      say: terminal.say,
      leftovers: () => leftovers(),
      exit(code) {
        terminal.step(undefined);
        host.exit(code);
      },
      ...(host.listen && { listen: host.listen }),
    });
    log.info(`Ends with exit code ${code}`);
    return code;
  } catch (error) {
    terminal.step(undefined);
    const code = report(error, terminal, { ...host, logfile });
    log.debug(stacksOf(error)); // after the report, which shows the end of the log
    log.info(`Ends with exit code ${code}`);
    return code;
  }
}

async function ask(question: string, { say }: Terminal, readLine: () => Promise<string>): Promise<boolean> {
  say(`${question} [Y/n]`);
  return /^(y|yes|)$/i.test((await readLine()).trim());
}

function openLog(flags: Flags, terminal: Terminal, host: Host): Logfile {
  return openLogfile({
    ...(flags.logfile !== undefined && { path: flags.logfile }),
    verbose: flags.verbose,
    env: host.env,
    home: host.home,
    cwd: () => host.cwd(),
    say: terminal.say,
    writeStdout: (text) => host.writeStdout(text),
  });
}

/**
 * The flags as the log has them: of the command its name alone, of variables theirs, as any word or value may be a
 * password.
 */
function masked(flags: Flags): unknown {
  const environment = { ...flags.environment, set: Object.keys(flags.environment.set) };
  if (flags.run.kind === "shell") return { ...flags, environment };
  const [name, ...args] = flags.run.words;
  return { ...flags, environment, run: `${name} and ${args.length} more words` };
}
