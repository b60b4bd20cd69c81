# Group Ledger. `make` lists what there is; everything that is installed goes into .tools/ and target/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TOOLS := .tools
TOOLS_READY := $(TOOLS)/ready
export PATH := $(CURDIR)/$(TOOLS)/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0

# The functions' processor where they are built here: this machine's own.
ARCHITECTURE ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)
SAM_PARAMETERS := Architecture=$(ARCHITECTURE)

say = @printf '\033[1m%s\033[0m\n' "$(1)"

##@ Everyday

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: tools build-functions ## Run everything on this machine: PORT=3000, DYNAMODB_PORT=8000; Ctrl-C stops it
	$(call say,Building the local stack …)
	@cargo build --quiet --locked --example local
	@exec target/debug/examples/local

.PHONY: test
test: tools ## Check format, lints, tests, documentation and template
	$(call say,Format …)
	cargo fmt --check
	$(call say,Lints …)
	cargo clippy --locked --all-targets -- -D warnings
	$(call say,Tests …)
	INSTA_UPDATE=no cargo test --locked
	$(call say,Documentation …)
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
	$(call say,Template …)
	sam validate --lint
	AWS_DEFAULT_REGION=us-east-1 sam validate

##@ Building

.PHONY: build-functions
build-functions: ## Build the functions for this machine
	$(call say,Building the functions (the first time takes some minutes) …)
	@cargo build --release --locked --bins

.PHONY: build
build: tools ## Build what is deployed, with sam build: ARCHITECTURE=arm64 or x86_64
	sam build --parameter-overrides $(SAM_PARAMETERS)

##@ AWS

.PHONY: deploy
deploy: ## Build and deploy, asking for the parameters the first time
	@test -f $(TOOLS_READY) || $(MAKE) tools
	$(MAKE) build
	sam deploy --guided

.PHONY: invoke
invoke: tools ## Invoke a function in Docker with a sample event: EVENT=events/tencent-chat-create-group.json
	@test -f "$(EVENT)" || { echo 'say which event: make invoke EVENT=events/… (ls events)' >&2; exit 2; }

##@ Tools

.PHONY: tools
tools: $(TOOLS_READY) ## Install the pinned tools into .tools/

$(TOOLS_READY): requirements.txt
	$(call say,Installing the tools into $(TOOLS) …)
	python3 -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --disable-pip-version-check --progress-bar on -r requirements.txt
	@touch $@

.PHONY: clean
clean: ## Remove what was built; recorded changes and tools stay
	rm -rf target .aws-sam
