# The front door: every step of work here is a target. `make` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

DENO := tools/deno
SOURCES := main.ts agent.ts version.ts deno.json $(shell find lib -name '*.ts' ! -name '*_test.ts' 2>/dev/null)
AGENT_SOURCES := agent.ts version.ts deno.json $(shell find lib/util lib/log lib/transport lib/pod lib/agent -name '*.ts' ! -name '*_test.ts' 2>/dev/null)
SHIM := build/shim/libtelepresence.so
LAUNCHER := build/shim/telepresence-launcher
NETNS := build/netns/telepresence-netns
# What the tests run beside our own program.
TEST_PROGRAMS := curl=curl python3=python3 openssl=openssl git=git /etc/services=netbase
CLUSTER := $(DENO) run --allow-all tests/cluster/cluster.ts
# The programs that tests of the shim run, as far as Debian has them; what cannot be had is skipped by name.
NEED_PROGRAMS := tools/need wget=wget busybox=busybox node=nodejs java=default-jdk-headless ruby=ruby php=php-cli perl=perl \
	nginx=nginx-light redis-cli=redis-tools redis-server=redis-server psql=postgresql-client dig=bind9-dnsutils \
	host=bind9-host musl-gcc=musl-tools aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu \
	/usr/aarch64-linux-gnu/lib/libc.so.6=libc6-dev-arm64-cross qemu-aarch64=qemu-user || true
# The program for arm64 is run by an emulator; without it those tests are skipped, and say so.
NEED_ARM64 := tools/need aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu qemu-aarch64-static=qemu-user-static \
	/usr/aarch64-linux-gnu/lib/libc.so.6=libc6-dev-arm64-cross pip3=python3-pip || true
# By which client libraries are installed that the tests on a cluster run; without them those are skipped by name.
NEED_CLIENTS := tools/need npm=npm pip3=python3-pip || true
# Where a kernel has no FUSE, or we are not root on Debian, tests of mounts are skipped, and say so.
NEED_MOUNTS := [ ! -e /dev/fuse ] || tools/need sshfs=sshfs fusermount3=fuse3 pgrep=procps fio=fio || true
# A played machine needs root; without, tests of vpn-tcp are skipped, and say so.
NEED_NETWORK := tools/need ip=iproute2 nft=nftables sudo=sudo iptables=iptables dig=bind9-dnsutils \
	musl-gcc=musl-tools || true
# Shells to complete in, and readers of manual pages: where they cannot be had, those tests are skipped, and say so.
NEED_SHELLS := tools/need zsh=zsh fish=fish /usr/share/bash-completion/bash_completion=bash-completion \
	man=man-db groff=groff-base mandoc=mandoc || true
# A browser for the page of a report: where it cannot be had, those tests are skipped, and say so.
NEED_BROWSER := tools/need chromium=chromium || true
# What is published is made and installed in tests; where this lacks, they are skipped, and say so.
NEED_DELIVERY := tools/need aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu /usr/aarch64-linux-gnu/include/stdio.h=libc6-dev-arm64-cross pip3=python3-pip shellcheck=shellcheck ruby=ruby || true
# A ConfigMap ends at 1 MiB, with all its other fields.
AGENT_MAX_BYTES := 524288

.PHONY: help
help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: build/telepresence ## Leaves the executable build/telepresence, and build/main.js which runs by URL

build/agent.js: $(AGENT_SOURCES) | tools/deno
	@mkdir -p build
	@$(DENO) bundle --quiet --minify --output $@ agent.ts
	@test $$(wc -c <$@) -lt $(AGENT_MAX_BYTES) || { echo "build/agent.js is too large for a ConfigMap: $$(wc -c <$@) bytes" >&2; exit 1; }

$(SHIM): $(wildcard shim/*.c shim/*.h shim/Makefile)
	@command -v $${CC:-gcc} >/dev/null || { echo "Cannot build the shim: gcc is not installed (apt-get install gcc libc6-dev)" >&2; exit 1; }
	@$(MAKE) --no-print-directory --silent -C shim OUT=../build/shim

$(LAUNCHER): shim/launcher/launcher.c shim/launcher/Makefile
	@$(MAKE) --no-print-directory --silent -C shim/launcher OUT=../../build/shim

# The same for the other machine, where there is a compiler for it (apt-get install gcc-aarch64-linux-gnu).
CROSS := $(if $(filter x86_64,$(shell uname -m)),$(if $(shell command -v aarch64-linux-gnu-gcc),aarch64))

build/shim/%/libtelepresence.so: $(wildcard shim/*.c shim/*.h shim/Makefile)
	@$(MAKE) --no-print-directory --silent -C shim OUT=../build/shim/$* CC=$*-linux-gnu-gcc

build/shim/%/telepresence-launcher: shim/launcher/launcher.c shim/launcher/Makefile
	@$(MAKE) --no-print-directory --silent -C shim/launcher OUT=../../build/shim/$* CC=$*-linux-gnu-gcc

CROSS_SHIMS := $(foreach arch,$(CROSS),build/shim/$(arch)/libtelepresence.so build/shim/$(arch)/telepresence-launcher)

build/shims.json: $(SHIM) $(LAUNCHER) $(CROSS_SHIMS) tools/build_shims.ts
	@$(DENO) run --allow-read --allow-write=build tools/build_shims.ts $$(uname -m) $(SHIM) $(LAUNCHER) \
		$(foreach arch,$(CROSS),$(arch) build/shim/$(arch)/libtelepresence.so build/shim/$(arch)/telepresence-launcher)

$(NETNS): $(wildcard netns/*.c netns/*.h netns/Makefile)
	@command -v $${CC:-gcc} >/dev/null || { echo "Cannot build the namespace helper: gcc is not installed (apt-get install gcc libc6-dev)" >&2; exit 1; }
	@$(MAKE) --no-print-directory --silent -C netns OUT=../build/netns

build/netns/%/telepresence-netns: $(wildcard netns/*.c netns/*.h netns/Makefile)
	@$(MAKE) --no-print-directory --silent -C netns OUT=../build/netns/$* CC=$*-linux-gnu-gcc

CROSS_NETNS := $(foreach arch,$(CROSS),build/netns/$(arch)/telepresence-netns)

build/netns.json: $(NETNS) $(CROSS_NETNS) tools/build_netns.ts
	@$(DENO) run --allow-read --allow-write=build tools/build_netns.ts $$(uname -m)=$(NETNS) \
		$(foreach arch,$(CROSS),$(arch)=build/netns/$(arch)/telepresence-netns)

build/main.js: $(SOURCES) build/agent.js build/shims.json build/netns.json
	@$(DENO) bundle --quiet --minify --output $@ main.ts
	@! grep -q createRequire $@ || { echo "build/main.js needs createRequire, so it cannot run by URL: a dependency is CommonJS" >&2; exit 1; }

# Compiled where Deno's runtime for that can be had (DENORT_BIN names one), else with npm's Deno inside: one file both ways.
build/telepresence: build/main.js $(wildcard onefile/* tools/delivery/*.ts) tools/build_onefile.ts
	@rm -f $@
	@if $(DENO) compile --quiet --allow-all --no-config --output $@ build/main.js 2>build/compile.log; then \
		echo "Compiled $@"; \
	else \
		$(DENO) run --allow-all tools/build_onefile.ts build/main.js $@ && \
		echo "Built $@ with npm's Deno inside: no denort here (build/compile.log; DENORT_BIN names one)"; \
	fi

.PHONY: dist
dist: ## Makes what is published into dist/: every target, sums, install.sh, the formula, licenses (LEVEL=19)
	@tools/need git=git aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu /usr/aarch64-linux-gnu/include/stdio.h=libc6-dev-arm64-cross pip3=python3-pip
	@$(DENO) run --allow-all tools/build_dist.ts dist $(or $(LEVEL),19)

.PHONY: dist-twice
dist-twice: ## Makes it twice, in two places, and says what is not equal
	@$(DENO) run --allow-all tools/build_dist.ts --twice $(or $(LEVEL),3)

.PHONY: demo
ifdef CONTEXT
demo: build
	@tools/need curl=curl
	@TELEPRESENCE_TEST_IMAGES='$(IMAGES)' $(DENO) run --allow-all tools/demo.ts '$(CONTEXT)'
else
demo: build cluster-up ## Lets a local curl answer from inside the embedded cluster; CONTEXT=name: another (or kind)
	@tools/need curl=curl
	@export KUBECONFIG=$$($(CLUSTER) env | sed "s/^export KUBECONFIG='\(.*\)'$$/\1/") && \
		echo "\$$ telepresence --run curl http://helloworld.default" && \
		build/telepresence --logfile build/demo.log --run curl --silent --show-error http://helloworld.default
	@echo "The cluster stays up: make cluster-down takes it away. To use it: eval \$$(make -s cluster-env)"
endif

.PHONY: test
test: build ## Runs every layer of tests, on the embedded cluster too
	@tools/need $(TEST_PROGRAMS)
	@$(NEED_SHELLS)
	@$(NEED_BROWSER)
	@$(NEED_MOUNTS)
	@$(NEED_NETWORK)
	@$(NEED_CLIENTS)
	@$(NEED_PROGRAMS)
	@$(NEED_ARM64)
	@$(NEED_DELIVERY)
	@$(DENO) run --allow-all tools/run_tests.ts all

.PHONY: test-fast
test-fast: build ## Runs the tests that need neither a cluster nor root
	@tools/need $(TEST_PROGRAMS)
	@$(NEED_SHELLS)
	@$(DENO) run --allow-all tools/run_tests.ts fast

.PHONY: test-programs
test-programs: build ## Runs the tests of what is written in C, in real programs, alone
	@tools/need $(TEST_PROGRAMS)
	@$(NEED_SHELLS)
	@$(NEED_BROWSER)
	@$(NEED_PROGRAMS)
	@$(NEED_DELIVERY)
	@$(NEED_ARM64)
	@$(DENO) run --allow-all tools/run_tests.ts programs

.PHONY: test-machine
test-machine: build ## Runs the tests that change this machine for their time (mounts) alone
	@tools/need $(TEST_PROGRAMS)
	@$(NEED_MOUNTS)
	@$(NEED_NETWORK)
	@$(DENO) run --allow-all tools/run_tests.ts machine

.PHONY: test-e2e
test-e2e: build ## Runs the tests on the embedded cluster alone; CONTEXT=name: on another (or kind)
	@tools/need $(TEST_PROGRAMS)
	@$(NEED_MOUNTS)
	@$(NEED_NETWORK)
	@$(NEED_CLIENTS)
	@$(NEED_ARM64)
	@TELEPRESENCE_TEST_IMAGES='$(IMAGES)' $(DENO) run --allow-all tools/run_tests.ts e2e '$(CONTEXT)'

.PHONY: test-long
test-long: build ## Runs the tests that wait for ten minutes and more (a token's rotation); CONTEXT=name as with test-e2e
	@$(NEED_MOUNTS)
	@TELEPRESENCE_TEST_IMAGES='$(IMAGES)' $(DENO) run --allow-all tools/run_tests.ts long '$(CONTEXT)'

.PHONY: chaos
chaos: ## Runs the tunnel over 5000 seeds of broken carriers, or replays one: SEED=n
	@$(if $(SEED),CHAOS_SEED=$(SEED),CHAOS_SEEDS=$(or $(SEEDS),5000)) $(DENO) test --quiet --allow-all --trace-leaks lib/transport/chaos_test.ts

.PHONY: fsx
fsx: tools/deno ## Compares random operations on files in a mount with memory: MINUTES=10, or replays a round: SEED=n
	@$(NEED_MOUNTS)
	@MINUTES=$(MINUTES) SEED=$(SEED) $(DENO) run --allow-all tests/machine/fsx.ts

.PHONY: bench
bench: build ## Measures ours against kubectl port-forward on the embedded cluster: ROUNDS=3, ONLY=down,up, RTTS=0,20,80p
	@$(NEED_MOUNTS)
	@ROUNDS=$(or $(ROUNDS),3) $(DENO) run --allow-all tests/bench/bench.ts
	@$(DENO) run --allow-all tests/bench/memory.ts
	@ROUNDS=$(or $(ROUNDS),3) $(DENO) run --allow-all tests/bench/start.ts
	@ROUNDS=$(or $(ROUNDS),3) $(DENO) run --allow-all tests/bench/volumes.ts
	@echo
	@$(DENO) run --allow-all --no-check tests/shim/cost.ts
	@tools/need ip=iproute2 nft=nftables python3=python3 sshuttle=sshuttle || true
	@ROUNDS=$(or $(ROUNDS),3) $(DENO) run --allow-all tests/bench/methods.ts

.PHONY: bench-patterned
bench-patterned: build ## Carries 10 GB both ways over all carriers and checks every byte
	@ONLY=pattern PATTERN_MB=2560 ROUNDS=1 RTTS=0 $(DENO) run --allow-all tests/bench/bench.ts

.PHONY: bench-tunnel
bench-tunnel: tools/deno ## Measures the tunnel's codec, link and mux alone
	@$(DENO) bench --quiet --allow-all lib/transport

.PHONY: ok
ok: fmt-check lint check doc-lint ## Format, lint, types, arrows and docs: what must be green before a commit

.PHONY: fmt
fmt: ## Formats the sources
	@$(DENO) fmt --quiet

.PHONY: fmt-check
fmt-check:
	@$(DENO) fmt --check

.PHONY: lint
lint:
	@$(DENO) lint --quiet

.PHONY: check
check: build/agent.js build/shims.json build/netns.json
	@$(DENO) check --quiet main.ts agent.ts lib tests tools

.PHONY: doc-lint
doc-lint:
	@$(DENO) run --allow-read --allow-run tools/doc_lint.ts

.PHONY: cluster-up
cluster-up: ## Brings the embedded Kubernetes up (the first time it is built, which takes minutes)
	@$(CLUSTER) up

.PHONY: cluster-down
cluster-down: ## Takes the embedded Kubernetes away, with everything that belongs to it
	@$(CLUSTER) down

.PHONY: cluster-status
cluster-status: ## Says how its components are
	@$(CLUSTER) status

.PHONY: cluster-restart
cluster-restart: ## Ends one component and starts it again: COMPONENT=kube-apiserver
	@$(CLUSTER) restart $(COMPONENT)

.PHONY: cluster-env
cluster-env: ## Prints the shell command that points kubectl and telepresence at it
	@$(CLUSTER) env

.PHONY: cluster-load
cluster-load: ## Loads an image into its node: IMAGE=x.tar (docker-archive)
	@$(CLUSTER) load $(IMAGE)

.PHONY: clean
clean: ## Removes what was built in this folder
	@rm -rf build
