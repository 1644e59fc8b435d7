/** The agent's image, from the registry that the user names (`TELEPRESENCE_REGISTRY`). */
export function imageFor(env: Readonly<Record<string, string>>, agentImage: string): string {
  const registry = env["TELEPRESENCE_REGISTRY"];
  return registry ? agentImage.replace(/^[^/]+(?=\/)/, registry.replace(/\/+$/, "")) : agentImage;
}
