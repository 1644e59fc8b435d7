/**
 * Whether anybody on the machine may put something else in the place of what we make in a directory: it is writable for
 * all, and not sticky, as `/tmp` is. What is executed or loaded from there would be anybody's.
 */
export async function isReplaceable(directory: string): Promise<boolean> {
  const { mode } = await Deno.stat(directory);
  return ((mode ?? 0) & 0o1002) === 0o002;
}
