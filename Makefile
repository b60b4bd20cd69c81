# Group Ledger. `make` lists what there is; everything that is installed goes into .tools/ and target/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TOOLS := .tools
TOOLS_READY := $(TOOLS)/ready
export PATH := $(CURDIR)/$(TOOLS)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0

# The functions' processor: this machine's own unless said otherwise, because that needs no cross compiler.
ARCHITECTURE ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
SAM_PARAMETERS := Architecture=$(ARCHITECTURE)

CARGO_DENY := 0.20.2
CARGO_MUTANTS := 27.1.0
CARGO_NEXTEST := 0.9.143
CARGO_TARPAULIN := 0.37.5

# A tool from crates.io, at its version, in .tools/.
install = @[[ "$$($(TOOLS)/bin/$(1) --version 2>/dev/null)" == *" $(2)" ]] || \
	cargo install --quiet --locked --root $(TOOLS) $(1)@$(2)

# Each is a folder of src/platform/, and a function.
PLATFORMS := $(subst _,-,$(notdir $(patsubst %/,%,$(wildcard src/platform/*/))))

say = @printf '\033[1m%s\033[0m\n' "$(1)"

##@ Everyday

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(TOOLS)/bin/cargo-lambda ## Run everything on this machine: PORT=3000, DYNAMODB_PORT=8000, SQS_PORT=9324, EVENTBRIDGE_PORT=9325; Ctrl-C stops it
	$(call say,Building the functions and the local stack (the first time takes some minutes) …)
	@# One profile, the one that builds faster: the SDK is compiled once.
	@cargo build --locked --bins --example local
	@exec target/debug/examples/local

STACK_PID = $(or $(LEDGER_FILE),.local/ledger.sqlite).pid

.PHONY: outage
outage: ## Cut DynamoDB off from what make run started; the same again brings it back
	@pid=$$(cat $(STACK_PID) 2>/dev/null) && [[ "$$(ps -o comm= -p "$$pid")" == *local ]] && kill -USR1 "$$pid" || { echo 'Nothing runs here: make run, and then this in another terminal.' >&2; exit 2; }

URL ?= http://127.0.0.1:$(or $(PORT),3000)
GROUP_LEDGER := cargo run --quiet --locked --features cli --bin group-ledger --

.PHONY: send
send: ## Send a sample callback, signed as TENCENT_CALLBACK_TOKENS says: EVENT=events/….json URL=http://127.0.0.1:3000
	@test -f "$(EVENT)" || { echo 'There is no sample "$(EVENT)": make send EVENT=events/….json' >&2; ls events/*.json >&2; exit 2; }
	@$(GROUP_LEDGER) send "$(URL)" "$(EVENT)"

.PHONY: demo
demo: ## Send a week in the life of three groups, one of which lost callbacks: URL=http://127.0.0.1:3000
	@$(GROUP_LEDGER) send "$(URL)" --demo

.PHONY: smoke
smoke: ## Send one of each sample and check the answers: URL=http://127.0.0.1:3000
	@$(GROUP_LEDGER) smoke "$(URL)"

# What the tests in a browser need. CI has it: there they fail rather than being left out.
BROWSER_TOOLS = $(and $(shell command -v chromium || command -v chromium-browser || command -v google-chrome), \
	$(shell command -v chromedriver),$(shell command -v npm))
SKIP_BROWSER = $(if $(or $(CI),$(BROWSER_TOOLS)),,-- --skip browser::)
BROWSER_MODULES := tests/browser/node_modules/.package-lock.json

$(BROWSER_MODULES): tests/browser/package-lock.json
	@cd tests/browser && npm ci --loglevel=error >/dev/null
	@touch $@

.PHONY: test
test: tools ## Check format, lints, tests, documentation and template
	$(call say,Format …)
	cargo fmt --check
	@$(if $(SKIP_BROWSER),,$(MAKE) --silent $(BROWSER_MODULES) && tests/browser/node_modules/.bin/prettier --log-level warn --check src/reading/web/script)
	$(call say,Lints …)
	cargo clippy --locked --lib --bins -- -D warnings
	cargo clippy --locked --all-targets --features cli,server -- -D warnings
	$(call say,Tests …)
	@$(if $(SKIP_BROWSER),echo 'The page is not tested in a browser: that takes Chromium with chromedriver and npm.')
	INSTA_UPDATE=no cargo test --locked --features cli,server $(SKIP_BROWSER)
	$(call say,Documentation …)
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items --features cli,server
	$(call say,Lock files of benches and fuzz targets …)
	@for workspace in benches fuzz; do cargo tree --quiet --locked --manifest-path $$workspace/Cargo.toml >/dev/null; done
	$(call say,Template …)
	sam validate --lint
	sam validate --lint --template examples/publishing/consumer.yaml
	AWS_DEFAULT_REGION=us-east-1 sam validate

.PHONY: budgets
budgets: build-functions ## Hold the functions as they are deployed to their sizes, crates and instructions
	@[[ "$$(uname -m)" == x86_64 ]] && command -v valgrind >/dev/null || echo 'Instructions are not counted: that takes valgrind, on x86_64.'
	cargo test --locked --features cli,server --test main -- --ignored budgets::

.PHONY: screenshots
screenshots: $(TOOLS)/bin/cargo-lambda build-functions ## Take the pictures of docs/page from the demo's week, with Chromium
	@$(MAKE) --silent $(BROWSER_MODULES)
	@cargo build --quiet --locked --features cli,server --bins --examples
	@FUNCTIONS_DIR=target/release cargo test --quiet --locked --features cli,server --test main -- --ignored browser::screenshots

.PHONY: chaos
chaos: $(TOOLS)/bin/cargo-lambda build-functions ## Load, outages, a storm, kills and SIGTERMs, on this machine: some 15 minutes; ONLY=server is a part of it
	$(call say,Building the server and the load (the first time takes some minutes) …)
	@cargo build --quiet --release --locked --features server --bin server
	@cargo build --quiet --profile load --locked --features cli,server --bins --examples
	@FUNCTIONS_DIR=target/release cargo test --quiet --profile load --locked --features cli,server --test main -- --ignored --nocapture --test-threads=1 --skip chaos::soak chaos::$(ONLY)

MINUTES ?= 60

.PHONY: soak
soak: $(TOOLS)/bin/cargo-lambda build-functions ## An hour of mixed load on the local stack: MINUTES=60; a shorter one writes its figures to target/soak
	$(call say,Building the load (the first time takes some minutes) …)
	@cargo build --quiet --profile load --locked --features cli,server --bins --examples
	@cd benches && cargo build --quiet --locked --profile load --package compare
	@MINUTES='$(MINUTES)' FUNCTIONS_DIR=target/release cargo test --quiet --profile load --locked --features cli,server --test main -- --ignored --nocapture chaos::soak
	@target/load/compare --soak target/soak/soak.json $(if $(filter 60,$(MINUTES)),docs/performance,target/soak)

install_node_peers = @for peer in node express; do (cd benches/peers/$$peer && npm install --silent --no-save); done

# What `make bench` builds before it measures, two at a time: what is measured as it is deployed, and all else. Each profile has a
# folder of its own, so that neither waits for the other.
.PHONY: bench-needs bench-measured bench-others
bench-needs: bench-measured bench-others
bench-measured:
	$(call say,Building the functions …)
	@cargo build --quiet --release --locked $(addprefix --bin ,$(PLATFORMS) reader)
	$(call say,Building the server and the command line …)
	@# Apart from the functions, which would otherwise be built with these two's features.
	@cargo build --quiet --release --locked --features cli,server --bin group-ledger --bin server
	$(call say,Building the floor and the limit …)
	@cd benches && cargo build --quiet --locked --release --package floor --package floor-http
	@# By itself: its features of `time` would have the SDK compiled again for the floor.
	@cd benches && cargo build --quiet --locked --release --package limit
	$(call say,Building what measures decoding …)
	@cd benches && cargo bench --quiet --locked --package decode --no-run
bench-others:
	$(call say,Installing the peers …)
	$(install_node_peers)
	@for peer in python aws-cli; do python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --upgrade \
		--target benches/peers/$$peer/.packages -r benches/peers/$$peer/requirements.txt; done
	@$(if $(SKIP_BROWSER),,$(MAKE) --silent $(BROWSER_MODULES))
	$(call say,Building what sends and counts …)
	@cd benches && cargo build --quiet --locked --profile load --package compare
	@$(if $(DEFAULTS),cd benches && cargo build --quiet --locked --profile lambda --package rust-default)
	$(call say,Building the local stack …)
	@cargo build --quiet --locked --features cli,server --bins --example local
	@cargo test --quiet --locked --features cli,server --test main --no-run

# Reading is measured on the receivers, the reader and the command line as they are deployed; the other functions are debug builds.
BENCH_FUNCTIONS := target/bench-functions
.PHONY: $(BENCH_FUNCTIONS)
$(BENCH_FUNCTIONS):
	@mkdir -p $@ && ln -sf $(addprefix ../debug/,$(notdir $(basename $(wildcard src/bin/*.rs)))) $@
	@ln -sf $(addprefix ../release/,$(PLATFORMS) reader group-ledger) $@

# Node 20, in which the peers are measured.
needs_node = @command -v npm >/dev/null && [[ "$$(node --version 2>/dev/null)" == v20.* ]] || { echo 'The Node peers need Node 20 and npm.' >&2; exit 2; }

.PHONY: bench
bench: $(TOOLS)/bin/cargo-lambda $(BENCH_FUNCTIONS) ## Measure the functions against a floor, a limit and peers, the server, decoding by itself, and reading: BEFORE=<another commit's target/release>, DEFAULTS=1 for a peer in Rust too; half an hour from a clean clone, of which ten minutes measure; needs Node 20
	$(needs_node)
	@$(MAKE) --silent --jobs 2 bench-needs
	$(call say,Measuring the functions …)
	@target/load/compare $(if $(DEFAULTS),--defaults) target/release benches docs/performance $(if $(BEFORE),'$(BEFORE)')
	$(call say,Putting the server under load …)
	@target/load/compare --server target/release benches docs/performance
	$(call say,Measuring verifying and decoding by themselves; plots in target/criterion/report …)
	@cd benches && cargo bench --quiet --locked --package decode --bench decode
	@cp target/criterion/body/report/lines.svg docs/performance/decoding.svg
	$(call say,Measuring reading …)
	@FUNCTIONS_DIR=$(BENCH_FUNCTIONS) cargo test --quiet --locked --features cli,server --test main -- --ignored --nocapture --test-threads=1 reading::bench
	$(call say,Measuring the page …)
	@$(if $(SKIP_BROWSER),echo 'The page is not measured: that takes Chromium with chromedriver and npm.',FUNCTIONS_DIR=$(BENCH_FUNCTIONS) cargo test --quiet --locked --features cli,server --test main -- --ignored --nocapture browser::bench)

.PHONY: bench-server
bench-server: ## Measure the server alone, against the same handlers in Node with Express: some 2 minutes once it is built; needs Node 20
	$(needs_node)
	$(call say,Building the server and its peer …)
	@cargo build --quiet --locked --release --features server --bin server
	@cd benches && cargo build --quiet --locked --profile load --package compare
	$(install_node_peers)
	$(call say,Putting the server under load …)
	@target/load/compare --server target/release benches docs/performance

# libFuzzer's instrumentation, in the compiler's stable options.
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# How long each is fuzzed: a time, or a number of executions.
FUZZ_LIMIT = $(if $(RUNS),-runs=$(RUNS),-max_total_time=$(or $(SECONDS),60))

.PHONY: fuzz
fuzz: ## Fuzz verify, decode, record and answer, each platform and then any event for a while: SECONDS=60 or RUNS=10000000
	$(call say,Building the fuzz targets …)
	@RUSTFLAGS='$(FUZZ_FLAGS)' cargo build --quiet --locked --release --manifest-path fuzz/Cargo.toml --target $(HOST)
	@for name in $(PLATFORMS) event; do \
		printf '\033[1mFuzzing %s, %s …\033[0m\n' "$$name" '$(FUZZ_LIMIT)'; \
		mkdir -p "fuzz/findings/$$name"; \
		target=$$([[ "$$name" == event ]] && echo event || echo callback); \
		PLATFORM="$$name" "fuzz/target/$(HOST)/release/$$target" $(FUZZ_LIMIT) -max_len=8192 -print_final_stats=1 -verbosity=0 \
			-artifact_prefix="fuzz/findings/$$name/" "fuzz/findings/$$name" "fuzz/corpus/$$name" 2>&1 | grep -vE "Uses:|dictionary|NEW_FUNC"; \
	done

.PHONY: mutants
mutants: tools ## Change the code in every way a test should notice, and see that one does: some hours; FLAGS=--iterate goes on after a stop
	$(call install,cargo-mutants,$(CARGO_MUTANTS))
	@command -v cargo-nextest >/dev/null || cargo install --quiet --locked --root $(TOOLS) cargo-nextest@$(CARGO_NEXTEST)
	@mkdir -p target
	cargo mutants --no-shuffle $(FLAGS) --output target/mutants-decide
	cargo mutants --no-shuffle $(FLAGS) --output target/mutants-store --config .cargo/mutants-store.toml

.PHONY: coverage
coverage: tools ## Count the lines of the library that the tests run in process
	$(call install,cargo-tarpaulin,$(CARGO_TARPAULIN))
	cargo tarpaulin --locked --skip-clean --engine llvm --lib --test main --include-files 'src/*' --exclude-files 'src/bin/*' --exclude-files 'src/cli/*' \
		--target-dir target/coverage --out Html --output-dir target/coverage --timeout 300 --fail-under 95 \
		-- --skip browser:: --skip cli:: --skip local:: --skip reliability:: --skip third_platform:: --skip budgets:: --skip what_is_understood_by_now

.PHONY: audit
audit: ## Check the dependencies: advisories, licences, duplicates, sources
	$(call install,cargo-deny,$(CARGO_DENY))
	cargo deny --locked check $(AUDIT)
	@# The command line and the server may have a crate twice: they are no functions.
	cargo deny --locked --features cli,server check advisories licenses sources

##@ Building

.PHONY: build-functions
build-functions: ## Build the functions for this machine
	$(call say,Building the functions (the first time takes some minutes) …)
	@cargo build --release --locked --bins

.PHONY: cli
cli: ## Install the command line, group-ledger, into .tools/bin
	$(call say,Building group-ledger (the first time takes some minutes) …)
	@cargo install --quiet --locked --path . --features cli --bin group-ledger --root $(TOOLS)

# The server, for SCF and for containers. SCF's system is CentOS 7.6, with this glibc; a binary that was linked against it starts
# with any newer one too.
GLIBC := 2.17
server_target = $(if $(filter arm64,$(1)),aarch64,x86_64)-unknown-linux-gnu
define build_server
	$(call say,Building the server for $(call server_target,$(1)) with glibc $(GLIBC) (the first time takes some minutes) …)
	@cargo zigbuild --quiet --release --locked --target $(call server_target,$(1)).$(GLIBC) --features server --bin server
endef
server = target/$(call server_target,$(1))/release/server

.PHONY: scf
scf: tools ## Build the package of a Tencent SCF web function: target/scf/group-ledger.zip
	$(call build_server,x86_64)
	@rm -rf target/scf && install -D -m 755 --target-directory target/scf/package deploy/scf/scf_bootstrap $(call server,x86_64)
	@python3 deploy/scf/package.py target/scf/package target/scf/group-ledger.zip

.PHONY: build-server
build-server: tools ## Build the server for containers and your own machines: target/image/server, ARCHITECTURE=…
	$(call build_server,$(ARCHITECTURE))
	@install -D -m 755 $(call server,$(ARCHITECTURE)) target/image/server

.PHONY: image
image: build-server ## Build a container image of the server, with Docker: TAG=group-ledger BASE=amazonlinux:2023 ARCHITECTURE=…
	@docker info >/dev/null 2>&1 || { echo 'Docker does not answer: make image needs it.' >&2; exit 2; }
	docker build --platform linux/$(subst x86_64,amd64,$(ARCHITECTURE)) $(if $(BASE),--build-arg BASE='$(BASE)') --tag '$(or $(TAG),group-ledger)' .

.PHONY: build
build: tools ## Build what is deployed, with sam build: ARCHITECTURE=arm64 or x86_64
	sam build --parameter-overrides $(SAM_PARAMETERS)

##@ AWS

.PHONY: deploy
deploy: tools ## Build and deploy with the parameters of parameters.yaml, showing first what would change: ARCHITECTURE=… STACK_NAME=…
	@test -f parameters.yaml || { echo 'Copy parameters.example.yaml to parameters.yaml, fill it in, and run this again.' >&2; exit 2; }
	@python deploy/check.py $(if $(STACK_NAME),'$(STACK_NAME)')
	@$(MAKE) build
	@python deploy/stamp.py $(ARCHITECTURE)
	sam deploy --parameter-overrides file://parameters.yaml $(SAM_PARAMETERS) $(if $(STACK_NAME),--stack-name '$(STACK_NAME)') $(SAM_DEPLOY)

.PHONY: reprocess
reprocess: ## Decode what is in quarantine again, with the current decoder: DAYS=35, TABLE_NAME=…, TENCENT_SDK_APP_ID=…, OPENIM_APP_ID=openim and AWS credentials
	@$(GROUP_LEDGER) reprocess $(if $(DAYS),--days '$(DAYS)')

.PHONY: redrive-dead-letters
redrive-dead-letters: ## Move the dead letters back into the fallback queue: DEAD_LETTER_QUEUE_URL=…, FALLBACK_QUEUE_URL=… and AWS credentials
	@$(GROUP_LEDGER) dead-letters redrive

.PHONY: recover
recover: ## Put the envelopes of log lines from standard input into the ledger: TABLE_NAME=… and AWS credentials
	@$(GROUP_LEDGER) recover

# An event's file says which function it is for, by the name of its binary, and which token it was signed with.
EVENT_NAME = $(notdir $(EVENT))
EVENT_FUNCTION = $(shell awk -v event='$(EVENT_NAME)' '/^  [A-Za-z]+:$$/ { id = $$1 } \
	/BuildProperties:/ && index(event, $$(NF - 1) "-") == 1 { sub(":", "", id); print id }' template.yaml)
EVENT_TOKENS = $(if $(filter %-signed.json %-forged.json,$(EVENT_NAME)),xxxxyyyy)
define EVENT_SETTINGS
{ "Parameters": {
  "TABLE_NAME": "group-changes",
  "AWS_ENDPOINT_URL_DYNAMODB": "http://host.docker.internal:$(or $(DYNAMODB_PORT),8000)",
  "FALLBACK_QUEUE_URL": "http://host.docker.internal:$(or $(SQS_PORT),9324)/000000000000/fallback-queue",
  "AWS_ENDPOINT_URL_SQS": "http://host.docker.internal:$(or $(SQS_PORT),9324)",
  "TENCENT_SDK_APP_ID": "1400000000",
  "TENCENT_CALLBACK_TOKENS": "$(EVENT_TOKENS)",
  "TENCENT_ALLOW_UNSIGNED": "true",
  "OPENIM_ALLOW_ANONYMOUS": "true" } }
endef
export EVENT_SETTINGS

.PHONY: invoke
invoke: ## Invoke a function with a sample event, in Docker: EVENT=events/tencent-chat-create-group.json
	@test -f "$(EVENT)" || { echo 'There is no event "$(EVENT)": make invoke EVENT=events/….json' >&2; ls events/*.json >&2; exit 2; }
	@docker info >/dev/null 2>&1 || { echo 'Docker does not answer: sam local invoke needs it. make send does not.' >&2; exit 2; }
	@test -d .aws-sam/build || $(MAKE) build
	@mkdir -p .local && printf '%s\n' "$$EVENT_SETTINGS" > .local/invoke.json
	sam local invoke $(EVENT_FUNCTION) --event "$(EVENT)" --env-vars .local/invoke.json \
		--parameter-overrides $(SAM_PARAMETERS) --add-host host.docker.internal:host-gateway $(INVOKE_FLAGS)

.PHONY: verify-sam
verify-sam: tools ## Prove the deployed shapes in Docker: the functions with the real SAM CLI, the server's image, the SCF package
	@ARCHITECTURE=$(ARCHITECTURE) tests/sam/verify.sh

.PHONY: verify-arm64
verify-arm64: tools ## Build the functions for arm64, the template's default, and start them under qemu-aarch64
	@command -v qemu-aarch64 >/dev/null && test -e /usr/aarch64-linux-gnu/lib/libgcc_s.so.1 || \
		{ echo 'An emulator and libraries are missing: apt-get install qemu-user libc6-arm64-cross libgcc-s1-arm64-cross' >&2; exit 2; }
	@test -d "$$(rustc --print sysroot)/lib/rustlib/aarch64-unknown-linux-gnu" || \
		{ echo "Rust's library for arm64 is missing: rustup target add aarch64-unknown-linux-gnu" >&2; exit 2; }
	sam build --build-dir .aws-sam/arm64 --parameter-overrides Architecture=arm64
	cargo test --locked --test main -- --ignored --nocapture --test-threads 1 arm64::

##@ Tools

.PHONY: tools
tools: $(TOOLS_READY) ## Install the pinned tools into .tools/

$(TOOLS_READY): requirements.txt
	$(call say,Installing the tools into $(TOOLS) …)
	python3 -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --disable-pip-version-check -r requirements.txt
	@touch $@

# The local Lambda API, which is all that `make run` needs: without the compiler that builds for other machines (100 MB).
$(TOOLS)/bin/cargo-lambda: requirements.txt
	$(call say,Installing the local Lambda API into $(TOOLS) …)
	python3 -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --disable-pip-version-check --no-deps --constraint requirements.txt cargo-lambda
	@touch $@

.PHONY: clean
clean: ## Remove what was built; recorded changes and tools stay
	rm -rf target .aws-sam
