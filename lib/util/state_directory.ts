/**
 * Where our own state of a user is: what is to be undone, and logs. A relative XDG_STATE_HOME is ignored, as the XDG base
 * directory specification says: the folder that one stands in may be anybody's.
 */
export function stateDirectory(env: Readonly<Record<string, string>>, home: string): string {
  const named = env["XDG_STATE_HOME"];
  return `${named?.startsWith("/") ? named : `${home}/.local/state`}/telepresence`;
}
