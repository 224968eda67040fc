# Tricorn: set up, build, run, test. `make help` lists the commands; each prepares what it needs and redoes nothing.
#
#   make run APP=package.module:app LIB=trio
#   make test PYTHON=/usr/bin/python3.12

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

APP ?= hello:app
LIB ?= auto
APP_DIR ?= $(if $(filter hello:app,$(APP)),examples,.)
ARGS ?=
TESTS ?= $(wildcard tests/unit tests/asgi tests/proxies tests/corpora tests/frameworks tests/leaks)

export PYTHON
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Most tests wait for a deadline or a peer; a file's tests share servers. PARALLEL= runs them one after another.
PARALLEL ?= -n 4 --dist loadfile
# ninja and meson stand in the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)

SOURCES := $(shell find src python/tricorn -type f -not -path '*/__pycache__/*') meson.build meson.options pyproject.toml README.md
SETUP_RUN := .venv/.setup-run
SETUP_TEST := .venv/.setup-test
SETUP_FUZZ := .venv/.setup-fuzz
INSTALLED := .venv/.installed
CORPORA := build/corpora/.fetched
ASAN_SITE := build/asan-site
COVERAGE_SITE := build/coverage-site
# Not there: tests of other interpreters, which the sanitizers' run-time would be preloaded into, those that weigh memory, the
# examples, as curio ends with a worker thread of its own left, those of Python alone, of frameworks and of many processes, and
# all libraries but asyncio, which has C of its own, and none, which is stepped from C alone: the others take the same paths.
ASAN_TESTS ?= $(filter-out tests/leaks tests/proxies tests/frameworks,$(TESTS)) \
    $(patsubst %,--ignore=tests/asgi/test_%.py,workers workers_signals workers_under_load reload command_lines systemd_service) $(patsubst %,--ignore=tests/unit/test_%.py,curio_import embedding_examples \
    backend_suite backend_mutants uvicorn_api uvicorn_differences uvicorn_options plugin cli options config config_file importer \
    watching log_files wsgi_threads spawning supervisor) \
    $(patsubst %,--ignore=%,$(wildcard tests/unit/test_bench_*.py tests/unit/test_proof_*.py))

ASAN_ONLY ?= not uvloop and not curio and not trio

# Under the sanitizers the interpreter's own allocator is off, and a leak that passes through our code fails the run.
ASAN_ENV = PATH=$(CURDIR)/build/unsanitized:$$PATH PYTHONPATH=$(CURDIR)/$(ASAN_SITE) PYTHONMALLOC=malloc TRICORN_TEST_SANITIZED=1 \
    LD_PRELOAD=$$(gcc -print-file-name=libasan.so) \
    ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1 \
    LSAN_OPTIONS=suppressions=$(CURDIR)/tools/lsan.supp:print_suppressions=0 \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

# Another interpreter than that of .venv was asked for: set up again.
ifneq ($(PYTHON),)
ifneq ($(realpath $(shell command -v $(PYTHON))),$(shell cat .venv/.interpreter 2>/dev/null))
$(shell rm -f .venv/.setup-*)
endif
endif

.PHONY: help run prepare build test test-c test-python test-parsers test-frames test-tls test-http2 lint format asan asan-c asan-python coverage autobahn h2spec testssl fuzz bench bench-quick instructions proof clean

help: ## this list
	@echo 'Tricorn. Commands:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
	@echo 'Variables: APP=module:attribute APP_DIR=its/folder LIB=auto|asyncio|uvloop|trio|curio ARGS="more options" PYTHON=interpreter TESTS="paths"'

run: $(INSTALLED) ## serve APP (the example) under LIB on http://127.0.0.1:8000
	@$(BIN)/tricorn $(APP) --async-library $(LIB) --app-dir $(APP_DIR) $(ARGS)

prepare: $(SETUP_TEST) $(SETUP_FUZZ) $(INSTALLED) $(CORPORA) ## what all commands need, so that several may run side by side

build: $(INSTALLED) ## build the extension and install the package into .venv

test: $(SETUP_TEST) $(INSTALLED) ## C tests, lint, Python tests on all libraries
	@$(MAKE) --no-print-directory -k test-c lint test-python

test-c: $(SETUP_TEST) build/core/build.ninja ## the C tests
	@$(BIN)/python tools/test-c build/core

test-python: $(SETUP_TEST) $(INSTALLED) $(CORPORA) ## the Python tests (TESTS=paths for some)
	@$(PYTEST) $(TESTS) $(PARALLEL) $(ARGS)

# What the parsers have a part in; nearly all of it waits, so more of it runs at once.
HTTP_TESTS ?= $(patsubst %,tests/asgi/test_%.py,answers answers_lint bodies damage deadlines disconnects general http1 limits messages model parsers refusals scope slow_peers wire without_library websocket_handshake websocket_close)

PARSERS ?= h11 httptools

test-parsers: $(SETUP_TEST) $(INSTALLED) ## the tests of HTTP with requests read by h11 and by httptools (PARSERS=one, ONLY='asyncio or trio')
	@set -e; for parser in $(PARSERS); do $(PYTEST) -q $(HTTP_TESTS) --http $$parser -n 5 --dist loadfile -k '$(ONLY)' $(ARGS); done

FRAMES ?= wsproto websockets

test-frames: $(SETUP_TEST) $(INSTALLED) ## the tests of WebSockets with frames by wsproto and by websockets (FRAMES=one, ONLY='asyncio or trio')
	@set -e; for frames in $(FRAMES); do $(PYTEST) -q tests/asgi/test_websocket_*.py --ws $$frames -n 5 --dist loadfile -k '$(ONLY)' $(ARGS); done

# What a connection does that speaks TLS: bodies, deadlines, disconnects, stops, WebSockets.
TLS_TESTS ?= $(patsubst %,tests/asgi/test_%.py,bodies deadlines disconnects http1 limits model stop websocket_close websocket_flow websocket_stop)

test-tls: $(SETUP_TEST) $(INSTALLED) ## the tests of connections with clients that speak TLS (ONLY='asyncio or trio')
	@$(PYTEST) -q $(TLS_TESTS) --tls -n 5 --dist loadfile -k '$(ONLY)' $(ARGS)

# What asks on connections of its own, and does not look at how the answer came.
HTTP2_TESTS ?= $(patsubst %,tests/asgi/test_%.py,answers asgi2 awaitables cancellation general invariants messages scope tasks wsgi)

test-http2: $(SETUP_TEST) $(INSTALLED) ## tests of applications, asked over HTTP/2 (ONLY='asyncio or trio')
	@$(PYTEST) -q $(HTTP2_TESTS) --http2 -n 5 --dist loadfile -k '$(ONLY)' $(ARGS)

lint: $(SETUP_TEST) $(INSTALLED) build/core/build.ninja ## the rules of the house, formatters, types
	@$(PYTEST) -q tests/lint $(ARGS)

format: $(SETUP_TEST) ## lay out the sources
	@$(BIN)/clang-format -i $$(git ls-files 'src/*.[ch]' 'tests/core/*.[ch]' 'tests/asgi/*.c' 'bench/*.c' 'fuzz/*.[ch]')
	@$(BIN)/ruff check -q --fix-only python tests tools bench proof examples
	@$(BIN)/ruff format -q python tests tools bench proof examples

asan: asan-c asan-python ## C and Python tests under AddressSanitizer and UBSan

asan-c: $(SETUP_TEST) build/asan/build.ninja
	@UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 $(BIN)/python tools/test-c build/asan

asan-python: $(SETUP_TEST) $(INSTALLED) $(CORPORA) build/.asan-installed
	@tools/unreported env $(ASAN_ENV) $(PYTEST) $(ASAN_TESTS) $(PARALLEL) -k '$(ASAN_ONLY)' $(ARGS)

# The binding's cases are the same on each library: one of them and the tests without a library take its branches.
COVERAGE_TESTS ?= tests/asgi -k asyncio
# These count in their own process, which on a busy machine would be ended before it has written what it counted.
COVERAGE_CORE ?= tests/unit/test_core_*.py tests/unit/test_process.py tests/unit/test_balance.py

coverage: $(SETUP_TEST) $(CORPORA) build/.coverage-installed ## the branches of the C sources that tests take; too few fail
	@$(if $(findstring --last-failed,$(ARGS)),true,find build/coverage -name '*.gcda' -delete) # a repetition adds to what was counted
	@$(BIN)/python tools/test-c build/coverage
	@PYTHONPATH=$(CURDIR)/$(COVERAGE_SITE) $(PYTEST) -q $(COVERAGE_CORE) $(ARGS)
	@PYTHONPATH=$(CURDIR)/$(COVERAGE_SITE) $(PYTEST) -q $(COVERAGE_TESTS) $(PARALLEL) $(ARGS)
	@$(BIN)/python tools/coverage build/coverage

testssl: $(SETUP_TEST) $(INSTALLED) ## weaknesses of TLS that testssl.sh finds (ARGS=--quick: protocols and ciphers only)
	@$(BIN)/python tools/testssl $(ARGS)

h2spec: $(SETUP_TEST) $(INSTALLED) ## h2spec's cases of HTTP/2, with TLS and without, on each library (needs Go)
	@$(BIN)/python tools/h2spec $(ARGS)

autobahn: $(SETUP_TEST) $(INSTALLED) ## Autobahn's cases of WebSockets on each library (ARGS=--full: all, 4 minutes for each library)
	@$(BIN)/python tools/autobahn $(ARGS)

fuzz: $(SETUP_FUZZ) build/fuzz/build.ninja ## the fuzzers, FUZZ_SECONDS each (60)
	@$(BIN)/ninja -C build/fuzz --quiet
	@tools/fuzz

bench: $(SETUP_TEST) $(INSTALLED) ## measure Tricorn and its peers side by side (over an hour; see bench/README.md)
	@$(BIN)/python bench/run $(ARGS)

bench-quick: $(SETUP_TEST) $(INSTALLED) ## the main rows, once and short: a few minutes
	@$(BIN)/python bench/run --quick $(ARGS)

instructions: $(SETUP_TEST) $(INSTALLED) ## instructions of a request on each library: 3 % more than recorded fails
	@$(BIN)/python bench/instructions $(ARGS)

# Minutes of the soak on each library, and of the fuzzers' CPU time together.
SOAK_MINUTES ?= 0.5

proof: $(SETUP_TEST) $(SETUP_FUZZ) $(INSTALLED) build/fuzz/build.ninja ## faults, attacks, fuzzers and the soak: a table each (SOAK_MINUTES=60 for the hour; see proof/README.md)
	@$(BIN)/ninja -C build/fuzz --quiet
	@$(BIN)/python proof/run --minutes $(SOAK_MINUTES) --out build/proof $(ARGS)

clean: ## remove everything that was made
	rm -rf build .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(SETUP_RUN): tools/setup tools/requirements.txt
	@tools/setup run

$(SETUP_TEST): tools/setup tools/requirements.txt tools/requirements-test.txt
	@tools/setup test

$(SETUP_FUZZ): tools/setup tools/requirements.txt tools/requirements-test.txt
	@tools/setup fuzz

$(CORPORA): tools/corpora tools/corpora.txt | $(SETUP_TEST)
	@$(BIN)/python tools/corpora

# The directory of the build stays, so that only what changed is compiled again.
$(INSTALLED): $(SETUP_RUN) $(SOURCES)
	@echo 'building the extension'
	@$(BIN)/python -m pip install -q --no-build-isolation --no-deps --config-settings build-dir=build/ext \
	    --config-settings setup-args=-Dwerror=true .
	@touch $@

build/core/build.ninja: | $(SETUP_TEST)
	@$(BIN)/meson setup build/core -Dextension=false -Dbuildtype=debugoptimized -Doptimization=1 -Dwerror=true >/dev/null

build/asan/build.ninja: | $(SETUP_TEST)
	@$(BIN)/meson setup build/asan -Dextension=false -Dbuildtype=debugoptimized -Doptimization=1 -Dwerror=true \
	    -Db_sanitize=address,undefined >/dev/null

build/fuzz/build.ninja: | $(SETUP_FUZZ)
	@CC=clang-14 $(BIN)/meson setup build/fuzz -Dextension=false -Dfuzzers=true -Dbuildtype=debugoptimized -Doptimization=1 \
	    -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link >/dev/null

build/.coverage-installed: $(SETUP_TEST) $(SOURCES)
	@echo 'building the extension with counters'
	@rm -rf $(COVERAGE_SITE) build/coverage
	@$(BIN)/python -m pip install -q --no-build-isolation --no-deps --target $(COVERAGE_SITE) \
	    --config-settings build-dir=build/coverage --config-settings setup-args=-Db_coverage=true \
	    --config-settings setup-args=-Doptimization=0 --config-settings setup-args=-Dwerror=true .
	@compgen -G 'build/coverage/src/py/*/*.gcno' >/dev/null || { echo 'the extension was built without counters'; exit 1; }
	@touch $@

build/.asan-installed: $(SETUP_TEST) $(SOURCES)
	@echo 'building the extension with sanitizers'
	@rm -rf $(ASAN_SITE) build/unsanitized
	@mkdir -p build/unsanitized
	@for program in curl wrk git nm objdump gcc cc; do ln -s $(CURDIR)/tools/unsanitized build/unsanitized/$$program; done
	@$(BIN)/python -m pip install -q --no-build-isolation --no-deps --target $(ASAN_SITE) \
	    --config-settings build-dir=build/asan-ext --config-settings setup-args=-Db_sanitize=address,undefined \
	    --config-settings setup-args=-Db_lundef=false --config-settings setup-args=-Db_ndebug=false \
	    --config-settings setup-args=-Doptimization=1 --config-settings setup-args=-Dwerror=true .
	@nm -D $(ASAN_SITE)/tricorn/_core*.so | grep -q __asan_report || { echo 'the extension was built without sanitizers'; exit 1; }
	@touch $@
