/**
 * What was built from C for a machine, as `build/shims.json` and `build/netns.json` have it by name. The name has the
 * architecture in it and all of it is Linux's: a Mac of the same architecture has none.
 */
export function builtFor(
  { os }: { readonly os: string },
  texts: Readonly<Record<string, string>>,
  name: string,
): Uint8Array<ArrayBuffer> | undefined {
  const text = os === "linux" ? texts[name] : undefined;
  return text === undefined ? undefined : Uint8Array.fromBase64(text);
}
