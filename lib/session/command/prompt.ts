/**
 * What has a shell of ours show the cluster's context before its prompt, as Telepresence 1 did.
 *
 * Bash expands a prompt each time that it shows one, commands in it too: so what could begin an expansion in the
 * context's name, which is whoever's who wrote the kubeconfig, is a question mark.
 */
export function promptOf(context: string): Record<string, string> {
  const plain = context.replace(/[\\"$`!\p{C}]/gu, "?");
  return { PROMPT_COMMAND: `PS1="@${plain}|$PS1";unset PROMPT_COMMAND` };
}
