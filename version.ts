/** The version of this program, told in `--version`, in the handshake and in the names of what is built. */
export const VERSION = "0.1.0";

/** The runtime of both ends. The Makefile, the agent's image and the tests take it from here. */
export const DENO_VERSION = "2.9.6";

/** The stock image in which the agent runs. */
export const AGENT_IMAGE = `denoland/deno:${DENO_VERSION}`;

/** Where this program's sources are, and where a bug is reported. */
export const REPOSITORY = "https://github.com/telepresence/telepresence-deno";

/** Where it is published: `download/vVERSION/FILE` and `latest/download/FILE` are below. */
export const RELEASES = `${REPOSITORY}/releases`;
