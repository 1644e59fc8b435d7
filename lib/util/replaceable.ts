/** As whom the kernel shows the owner of what belongs to nobody in a user namespace: the machine's root, for most. */
const OVERFLOW_UID = 65534;

/**
 * Whether somebody else on the machine may put something else in the place of what we make in a directory: anybody where
 * it is writable for all and not sticky, as `/tmp` is; its owner in any case. What is executed or loaded from there would
 * be theirs.
 */
export async function isReplaceable(directory: string): Promise<boolean> {
  const { mode, uid } = await Deno.stat(directory);
  if (((mode ?? 0) & 0o1002) === 0o002) return true;
  return uid !== null && ![Deno.uid(), 0, OVERFLOW_UID].includes(uid);
}
