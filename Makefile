# The one command surface. `make help` lists the targets; each sets up what it needs by itself.
# Arguments for the CDK go into ARGS: make synth ARGS="-c fleetSize=3 -c users=alice,bob"

SHELL = /bin/sh
.DEFAULT_GOAL = help

ARGS ?=
ASSEMBLY ?=
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# The npm packages bring the CDK CLI and the Node.js that it and the CDK's Go bindings run on.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
NODE_MODULES = node_modules/.package-lock.json
CLIENT_MODULES = docs/clients/node_modules/.package-lock.json

no_parameters = an assembly has its parameters already: leave out ASSEMBLY to make one with those of ARGS, \
	or leave out ARGS

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: go
go:
	@scripts/setup.sh go

.PHONY: root
root:
	@[ "$$(id -u)" -eq 0 ] || { echo "needs root for network namespaces and containers:" \
		"sudo -E env \"PATH=\$$PATH\" make $(or $(MAKECMDGOALS),test) (make unit needs nothing but Go)" >&2; exit 1; }

.PHONY: setup
setup: $(NODE_MODULES) ## install what is missing: npm packages and, on Debian and Ubuntu, Squid and what the tests need
	@scripts/setup.sh

$(NODE_MODULES): package.json package-lock.json
	@scripts/setup.sh go npm
	npm ci --no-audit --no-fund
	@scripts/setup.sh node
	@touch $@

$(CLIENT_MODULES): docs/clients/package.json docs/clients/package-lock.json
	@scripts/setup.sh npm
	cd docs/clients && npm ci --no-audit --no-fund
	@touch $@

# A cold build cache makes the CDK CLI silent for a minute.
.PHONY: app
app: go
	@scripts/compile.sh . "the CDK app"

# The first time, npm's downloads need little of the processors that the compiler keeps busy.
.PHONY: ready modules
ready: go
	@$(MAKE) --no-print-directory -j2 app modules

modules: $(NODE_MODULES)
	@:

# The CDK CLI misses credentials only after a synth.
.PHONY: credentials
credentials: go
	@scripts/compile.sh ./internal/credentials "the check of credentials"
	@scripts/go.sh run ./internal/credentials $(ARGS)

.PHONY: synth
synth: ready ## write the CloudFormation templates and the image's build context into cdk.out
	cdk synth --quiet $(ARGS)

.PHONY: diff
diff: credentials ready ## show what a deployment would change
	cdk diff $(ARGS)

.PHONY: deploy
deploy: credentials $(NODE_MODULES) ## deploy or update the fleet, after a check (ASSEMBLY=cdk.out deploys one that is there)
	$(if $(ASSEMBLY),$(if $(filter -c% --context%,$(ARGS)),$(error $(no_parameters))))
	@scripts/setup.sh engine
	@$(MAKE) --no-print-directory check $(if $(ASSEMBLY),ARGS=)
	cdk deploy --all --app "$(or $(ASSEMBLY),cdk.out)" $(ARGS)

.PHONY: destroy
destroy: credentials ready ## remove the fleet
	cdk destroy --all $(ARGS)

CONTEXT ?= cdk.context.json

.PHONY: check
check: $(if $(ASSEMBLY),go $(NODE_MODULES),ready) ## judge an assembly before AWS does (ASSEMBLY=cdk.out CONTEXT=cdk.context.json; without one, a fresh one of the parameters)
	$(if $(ASSEMBLY),$(if $(ARGS),$(error $(no_parameters))))
	@if [ -z "$(ASSEMBLY)" ]; then cdk synth --quiet $(ARGS); fi
	@scripts/compile.sh ./internal/check/cmd "the check"
	scripts/go.sh run ./internal/check/cmd -context "$(CONTEXT)" "$(or $(ASSEMBLY),cdk.out)"

.PHONY: local
local: ## run a fleet on this machine, with addresses that change: no AWS, no container engine (ARGS="--rotate-every 20s")
	@scripts/setup.sh go squid curl
	@scripts/compile.sh ./cmd/squidfleet squidfleet
	scripts/go.sh build -o bin/squidfleet ./cmd/squidfleet
	@exec bin/squidfleet local $(ARGS) # not go run, which keeps SIGTERM to itself

# The parts of make test, in its order. CI runs them side by side.
TESTS = lint unit templates integration clients image lifecycle rotation relay

.PHONY: test
test: root $(NODE_MODULES) ## lint and run every test, part after part (needs root for the network namespaces)
	@scripts/setup.sh
	@for part in $(TESTS); do echo "== make $$part"; $(MAKE) --no-print-directory $$part || exit; done

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, shellcheck, width of lines
	@scripts/setup.sh go shellcheck
	@files=$$(git ls-files '*.go') && unformatted=$$(gofmt -l $$files) || exit; \
		[ -z "$$unformatted" ] || { echo "not formatted (gofmt -w): $$unformatted" >&2; exit 1; }
	@scripts/width.sh
	go vet ./...
	go run $(STATICCHECK) ./...
	shellcheck $$(git grep -lI '^#!/bin/sh' -- ':!*.go' ':!*.txt')

.PHONY: unit
unit: go ## run the tests that need nothing but Go
	packages=$$(go list ./...) && \
		go test $$(echo "$$packages" | grep -v -e '^squidfleet$$' -e /stacks -e /internal/check -e /internal/engine -e /integration)

.PHONY: templates
templates: go $(NODE_MODULES) ## run the tests that synthesise, and judge what they synthesise
	scripts/go.sh test -timeout 25m . ./stacks/... ./internal/check/...

.PHONY: integration
integration: root go $(NODE_MODULES) ## run the tests with a real Squid
	@scripts/setup.sh squid curl ip python javac
	go test -timeout 25m ./integration

.PHONY: clients
clients: root go $(NODE_MODULES) $(CLIENT_MODULES) ## run what docs/use.md says of each client, through fleets with every way in
	@scripts/setup.sh squid curl ip chromium clients
	go test -timeout 15m ./integration/clients

.PHONY: image
image: root go $(NODE_MODULES) ## build the image with podman and run its tests
	@scripts/setup.sh podman debootstrap curl ip
	go test -timeout 25m -p 1 ./internal/engine ./integration/image

.PHONY: lifecycle
lifecycle: root go $(NODE_MODULES) ## deploy, change and destroy a fleet with the real CDK CLI, without AWS
	@scripts/setup.sh podman debootstrap
	go test -timeout 25m -v ./integration/lifecycle

.PHONY: rotation
rotation: root go ## rotate a fleet of real Squids under load and count what it loses
	@scripts/setup.sh squid curl ip
	go test -timeout 5m -v ./integration/rotation # in full, because its counts are what it is for

.PHONY: relay
relay: root go ## put the relay in front of fleets of real Squids, and build its image
	@scripts/setup.sh squid ip podman
	go test -timeout 10m ./integration/relay

.PHONY: bench
bench: root go $(NODE_MODULES) ## measure synth, throughput, rotations, memory and the image, into docs/design (needs root)
	go run ./internal/bench/synth
	@scripts/setup.sh squid podman debootstrap curl ip
	go test -run '^$$' -bench . -benchtime 1x -timeout 60m -p 1 ./integration ./integration/rotation ./integration/image
