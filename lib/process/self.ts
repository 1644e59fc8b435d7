/** How this program was delivered, as the runtime tells it. */
export interface Delivery {
  /** Whether it is one executable (`deno compile`). */
  readonly standalone: boolean;
  /** The executable: the program itself, or the runtime. */
  readonly execPath: string;
  /** Address of the main module: a file, or where the program was run from by URL. */
  readonly mainModule: string;
}

/**
 * The command that starts this program again with other words, for every delivery: compiled, one file
 * that unpacked a runtime and a bundle (both stay where they are while it runs), a bundle or sources by file, a bundle by
 * URL (which the runtime has in its cache, so the network is not asked again).
 */
export function selfCommand(delivery: Delivery, args: readonly string[]): [string, ...string[]] {
  const { standalone, execPath, mainModule } = delivery;
  if (standalone) return [execPath, ...args];
  const isFile = mainModule.startsWith("file:");
  const bundled = !isFile || mainModule.endsWith(".js"); // sources have a configuration with their import map
  return [
    execPath,
    "run",
    "--allow-all",
    "--quiet",
    "--no-lock",
    ...(bundled ? ["--no-config"] : []),
    ...(isFile ? [] : ["--cached-only"]),
    mainModule,
    ...args,
  ];
}
