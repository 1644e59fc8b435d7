# The agent inside the stock image of Deno: for a proxy that is installed for good (`telepresence agent-manifest`).
# Sessions need no image of ours: they put the agent into the stock one.
#
#   make build/agent.js
#   docker build --build-arg BASE=registry.example/denoland/deno:2.9.6 -t registry.example/telepresence-agent .
ARG BASE=denoland/deno:2.9.6
FROM ${BASE}
COPY --chmod=444 build/agent.js /telepresence/agent.js
# A number, so that a namespace that enforces "restricted" sees that it is not root.
USER 1000
CMD ["deno", "run", "--quiet", "--no-config", "--allow-all", "/telepresence/agent.js"]
