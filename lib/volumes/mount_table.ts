/**
 * What is mounted on this machine. By the kernel's table, as asking a path itself would wait for a mount that does not
 * answer.
 *
 * Format: {@link https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html}
 *
 * @module
 */

/** Whether something is mounted at a path. */
export async function isMounted(path: string): Promise<boolean> {
  return parseMountTable(await Deno.readTextFile("/proc/self/mountinfo")).includes(path);
}

/** The paths at which a table has mounts. */
export function parseMountTable(table: string): string[] {
  return table.split("\n").flatMap((line) => {
    const path = line.split(" ")[4];
    return path === undefined ? [] : [unescape(path)];
  });
}

/** Characters that would end a field are written as three octal digits. */
function unescape(field: string): string {
  return field.replace(/\\([0-3][0-7]{2})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)));
}
