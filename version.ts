/** The version of this program, told in `--version`, in the handshake and in the names of what is built. */
export const VERSION = "0.1.0";
