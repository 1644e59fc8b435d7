/**
 * The demo on another cluster than the embedded one: `deno run -A tools/demo.ts CONTEXT`, where CONTEXT is a context of
 * the user's kubeconfig, or `kind`. A local curl answers from inside that cluster; what was made there is deleted.
 *
 * @module
 */
import { runProgram } from "@/process/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";
import { listenForInterrupt, openForeignCluster } from "../tests/cluster/mod.ts";

/** Writes a line for whoever watches. */
function tell(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** Shows it. @returns the exit code */
async function demonstrate(context: string): Promise<number> {
  using interrupt = listenForInterrupt(); // the program hears Ctrl-C itself
  const options = { env: Deno.env.toObject(), tell, signal: interrupt.signal };
  await using cluster = await openForeignCluster(context, options);
  const url = `http://helloworld.${cluster.namespace}`;
  tell(`$ telepresence --run curl ${url}`);
  const command = ["build/telepresence", "--logfile", "build/demo.log", "--run", "curl", "-sS", url] as const;
  const env = { KUBECONFIG: cluster.kubeconfig };
  const { code, stdout } = await runProgram([...command], { env, onStderr: (text) => tell(text.trimEnd()) });
  tell(stdout.trimEnd());
  return code;
}

try {
  Deno.exitCode = await demonstrate(Deno.args[0] ?? "");
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  [messageOf(error), ...error.hints.map((hint) => `  hint: ${hint}`)].forEach(tell);
  Deno.exitCode = 1;
}
