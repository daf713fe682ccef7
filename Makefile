# Two commands: `make up` sets up everything and starts Berth; `make test` sets up everything and passes the tests.
.PHONY: up test setup setup-test soak bench check lint format

NODE := node_modules/.bin/node
BERTH_DATA_DIR ?= /var/lib/berth
export BERTH_DATA_DIR

up: setup
	bin/berth up

setup:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test

check: setup
	$(NODE) node_modules/.bin/tsc --noEmit
	$(NODE) node_modules/.bin/tsc --noEmit -p web
	$(NODE) node_modules/.bin/oxlint --type-aware

test: setup-test
	$(NODE) node_modules/.bin/tsc --noEmit
	$(NODE) node_modules/.bin/tsc --noEmit -p web
	$(NODE) node_modules/.bin/oxlint --type-aware
	$(NODE) --disable-warning=ExperimentalWarning node_modules/vitest/vitest.mjs run

# The long runs that prove what the tests only touch.
soak: setup-test
	scripts/soak.sh

bench: setup-test
	$(NODE) --disable-warning=ExperimentalWarning bench/run.ts

format:
	$(NODE) node_modules/.bin/oxfmt
