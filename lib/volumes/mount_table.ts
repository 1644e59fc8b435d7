/**
 * What is mounted on this machine. By the kernel's table, as asking a path itself would wait for a mount that does not
 * answer.
 *
 * Format: {@link https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html}
 *
 * @module
 */

/** A line of the table. */
export interface Mounted {
  readonly path: string;
  /** `major:minor`. */
  readonly device: string;
}

/** Whether something is mounted at a path. */
export async function isMounted(path: string): Promise<boolean> {
  return (await mountTable()).some((mount) => mount.path === path);
}

/** All mounts that this process sees. */
export async function mountTable(): Promise<Mounted[]> {
  return parseMountTable(await Deno.readTextFile("/proc/self/mountinfo"));
}

/** The mounts of a table. */
export function parseMountTable(table: string): Mounted[] {
  return table.split("\n").flatMap((line) => {
    const [, , device, , path] = line.split(" ");
    return device === undefined || path === undefined ? [] : [{ path: unescape(path), device }];
  });
}

/** Characters that would end a field are written as three octal digits. */
function unescape(field: string): string {
  return field.replace(/\\([0-3][0-7]{2})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)));
}
