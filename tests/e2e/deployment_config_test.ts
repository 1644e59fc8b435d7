/** A DeploymentConfig of OpenShift, as far as an API server is all there is of OpenShift: refused, and left as it is. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { anyResource, untyped } from "@/kube/mod.ts";
import { embeddedTest, run, until } from "./harness.ts";
import { openShop, templateOf } from "./swap_harness.ts";

const definitions = anyResource({
  group: "apiextensions.k8s.io",
  version: "v1",
  plural: "customresourcedefinitions",
  kind: "CustomResourceDefinition",
  namespaced: false,
});
const deploymentConfigs = untyped(anyResource({
  group: "apps.openshift.io",
  version: "v1",
  plural: "deploymentconfigs",
  kind: "DeploymentConfig",
  namespaced: true,
}));
const NAME = "deploymentconfigs.apps.openshift.io";
/** With the subresources that the true one has. */
const DEFINITION = {
  metadata: { name: NAME },
  spec: {
    group: "apps.openshift.io",
    scope: "Namespaced",
    names: { plural: "deploymentconfigs", singular: "deploymentconfig", kind: "DeploymentConfig", shortNames: ["dc"] },
    versions: [{
      name: "v1",
      served: true,
      storage: true,
      schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      subresources: {
        status: {},
        scale: { specReplicasPath: ".spec.replicas", statusReplicasPath: ".status.replicas" },
      },
    }],
  },
};

embeddedTest(
  "a DeploymentConfig is refused in words, by both ways to name it, and is left as it is",
  async (cluster) => {
    await using shop = await openShop(cluster);
    const { kube, namespace } = shop;
    await kube.create(definitions, DEFINITION);
    try {
      await until("DeploymentConfigs are served", async () => {
        return await kube.list(deploymentConfigs, { namespace }).then(() => true, () => false);
      });
      const labels = { deploymentconfig: "web" };
      await kube.create(deploymentConfigs, {
        metadata: { name: "web", namespace, labels },
        spec: {
          replicas: 2,
          selector: labels,
          strategy: { type: "Rolling" },
          triggers: [{ type: "ConfigChange" }],
          template: { ...templateOf("web"), metadata: { labels } },
        },
      });
      const found = async () => JSON.stringify(await kube.get(deploymentConfigs, { namespace, name: "web" }));
      const before = await found();
      const named = await run(cluster, "--namespace", namespace, "--swap-deployment", "dc/web", "--run", "true");
      equals(named.code, 2);
      match(named.stderr, /DeploymentConfigs of OpenShift are not swapped: 'oc scale dc\/web --replicas=0' and /);
      const plain = await run(cluster, "--namespace", namespace, "--swap-deployment", "web", "--run", "true");
      equals(plain.code, 255);
      match(plain.stderr, /^T: Error: Cannot swap "web" in namespace "\S+": it is a DeploymentConfig of OpenShift$/m);
      match(
        plain.stderr,
        /^T: Hint: 'oc scale dc\/web --replicas=0' and --new-deployment NAME --expose PORT come near$/m,
      );
      equals(await found(), before, "byte by byte, its version too");
    } finally {
      await kube.delete(definitions, { name: NAME });
      await until("they are gone", async () => {
        return await kube.list(deploymentConfigs, { namespace }).then(() => false, () => true);
      });
    }
  },
);
