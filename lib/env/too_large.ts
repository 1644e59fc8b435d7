import { UserError } from "@/util/mod.ts";

/**
 * The sentence for a command that the kernel would not start, because its words and variables together are too large
 * (E2BIG; {@link https://man7.org/linux/man-pages/man2/execve.2.html}, "Limits on size of arguments and environment").
 *
 * @param cause what the system said
 */
export function tooLarge(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
  cause: unknown,
): UserError {
  const sizes = Object.entries(environment)
    .map(([name, value]) => ({ name, bytes: sizeOf(name) + sizeOf(value) + 2 })) // the "=" and the NUL at its end
    .sort((a, b) => b.bytes - a.bytes);
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  const largest = sizes.slice(0, 3).map(({ name, bytes }) => `${name} (${bytes} bytes)`).join(", ");
  const links = sizes.filter(({ name }) => /_(?:SERVICE|PORT)(?:_|$)/.test(name)).length;
  return new UserError(
    `Cannot start "${command[0]}": its environment is larger than the kernel takes: ${sizes.length} variables, ` +
      `${total} bytes; the largest are ${largest}`,
    {
      hints: [
        `${links} of the variables are of Services of the namespace: enableServiceLinks: false in the pod's ` +
        "template leaves them out, and so does telepresence --env-unset '*_PORT*' --env-unset '*_SERVICE_*'",
      ],
      cause,
    },
  );
}

function sizeOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
