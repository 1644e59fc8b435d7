import { UserError } from "@/util/mod.ts";

/**
 * Why no program can be started by a word, in the words of a shell, and the next step.
 *
 * @param program the first word of a command
 * @param cwd where a path of it begins
 */
export function notRunnable(program: string, cwd: string): UserError {
  if (program.startsWith("-")) {
    return new UserError(`${program}: command not found`, {
      hints: ["Options of telepresence stand before --run: everything behind it is the command"],
    });
  }
  const [first = "", ...others] = program.trim().split(/\s+/);
  if (others.length > 0) {
    return new UserError(`${program}: command not found`, {
      hints: [
        `It is one word. As several: --run ${first} ${others.join(" ")}`,
        `Or by a shell: --run sh -c '${program}'`,
      ],
    });
  }
  if (program === "") {
    return new UserError(": command not found", { hints: ["Name a command: --run COMMAND, or leave --run away"] });
  }
  if (!program.includes("/")) {
    return new UserError(`${program}: command not found`, {
      hints: [
        "No directory of PATH has such a program; one of the current directory is ./NAME",
        `What only a shell knows (an alias, a function) takes one: --run bash -ic '${program}'`,
      ],
    });
  }
  const found = kindOf(program.startsWith("/") ? program : `${cwd}/${program}`);
  if (found === "directory") {
    return new UserError(`${program}: Is a directory`, { hints: ["Name a program in it"] });
  }
  if (found === "file") {
    return new UserError(`${program}: Permission denied`, {
      hints: [`It may not be executed: chmod +x ${program}`],
    });
  }
  return new UserError(`${program}: command not found`, { hints: [`There is no such file, seen from ${cwd}`] });
}

function kindOf(path: string): "file" | "directory" | undefined {
  try {
    return Deno.statSync(path).isDirectory ? "directory" : "file";
  } catch {
    return undefined; // what cannot be looked at is not there for exec either
  }
}
