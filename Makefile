# Two commands: `make up` sets up everything and starts Berth; `make test` sets up everything and passes the tests.
.PHONY: up test test-gvisor test-crun test-qemu test-engines provider-matrix setup setup-test soak bench check types types-web lint format

NODE := node_modules/.bin/node
VITEST := $(NODE) --disable-warning=ExperimentalWarning node_modules/vitest/vitest.mjs run
BERTH_DATA_DIR ?= /var/lib/berth
export BERTH_DATA_DIR

up: setup
	bin/berth up

setup:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test

# What needs no run, side by side; each says all that it found when it is done.
beside := $(MAKE) --no-print-directory --keep-going --jobs=3 --output-sync=target types types-web lint

check: setup
	@$(beside)

test: setup-test
	@$(beside)
	$(VITEST)

types:
	$(NODE) node_modules/.bin/tsc --noEmit

types-web:
	$(NODE) node_modules/.bin/tsc --noEmit -p web

lint:
	$(NODE) node_modules/.bin/oxlint --type-aware

# The provider's suites, a session, the main job and the attacks with gVisor as the runtime, which it fetches.
test-gvisor: export BERTH_TEST_PROVIDERS = runsc
test-gvisor: setup-test
	$(VITEST) src/sandbox/providers/oci/runsc.test.ts test/e2e/session.e2e.test.ts test/e2e/issue-to-pull.e2e.test.ts test/security/attacks.e2e.test.ts

# The provider's suites with crun, where only cgroup v2 is mounted.
test-crun: export BERTH_TEST_PROVIDERS = crun
test-crun: setup-test
	test/fixtures/cgroup-v2/run.sh $(VITEST) src/sandbox/providers/oci/crun.test.ts

# Of `make test`, what runs in virtual machines of QEMU.
test-qemu: setup-test
	$(VITEST) src/sandbox/providers/qemu/qemu.test.ts test/e2e/qemu.e2e.test.ts

# The provider's suites on other container engines than Docker's own: Podman, rootless ones, userns-remap, and gVisor in Docker.
test-engines: export BERTH_TEST_PROVIDERS = podman,rootless,docker-runsc
test-engines: setup-test
	$(VITEST) --project e2e src/sandbox/providers/docker test/e2e/engines.e2e.test.ts

# docs/providers/matrix.md, from what the last runs of the suites left.
provider-matrix: setup-test
	$(NODE) --disable-warning=ExperimentalWarning scripts/provider-matrix.ts

# The long runs that prove what the tests only touch.
soak: setup-test
	scripts/soak.sh

bench: export BERTH_TEST_PROVIDERS = crun,runsc
bench: setup-test
	$(NODE) --disable-warning=ExperimentalWarning bench/run.ts

format:
	$(NODE) node_modules/.bin/oxfmt
