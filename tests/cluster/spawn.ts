/**
 * Starts a program that outlives this one: a session of its own, standard output and error at the end of the file
 * `log`. (lib/process runs programs to their end; this is the other kind.)
 *
 * The returned child is the program itself, the shell having become it.
 */
export function spawnDetached(log: string, command: readonly string[]): Deno.ChildProcess {
  return new Deno.Command("sh", {
    args: ["-c", 'log=$1; shift; exec "$@" >>"$log" 2>&1', "sh", log, ...command],
    clearEnv: true,
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" },
    stdin: "null",
    stdout: "null",
    stderr: "null",
    cwd: "/",
    detached: true,
  }).spawn();
}
