# Everything that a developer or CI calls. A workspace has no ./... at its
# root: the pattern is work, or the modules' import paths.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

MODULE  := github.com/slipway-cd/slipway
MODULES := $(shell go list -m 2>/dev/null)
DIRS    := $(shell go list -m -f '{{.Dir}}' 2>/dev/null)
# Without the clone's path in it, what one clone has built is another's, too. What
# go vet would find make lint does: here it would look at two thousand packages of
# others first, a fifth of what a cold build takes.
TEST    := go test -race -trimpath -vet=off -shuffle=on
# e2e talks to real parts: its tests run one package after the other, never
# from the cache.
UNITS   := $(addsuffix /...,$(filter-out $(MODULE)/e2e,$(MODULES)))
E2E     := $(MODULE)/e2e/...

CACHE   := $(or $(SLIPWAY_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/slipway)
TOOLS   := $(CACHE)/tools/$(firstword $(shell cat .tools/go.mod .tools/go.sum | sha256sum | cut -c1-16))
FUZZTIME ?= 30s

.PHONY: help
help: ## list what there is
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## install what is missing of git, gcc and curl (by apt)
	@.ci/setup

.PHONY: build
build: ## build every service's binary into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ $(MODULE)/services/...

.PHONY: parts
parts: deps ## build the real parts of the tests into the cache, once
	@go run ./e2e/cmd/parts

# Others' races that are known, each named in the file.
export GORACE := suppressions=$(CURDIR)/.ci/races.txt

.PHONY: test
test: parts ## every module's tests with -race, and the end-to-end tests on real parts
	$(TEST) -timeout 30m $(UNITS)
	$(TEST) -timeout 55m -count=1 -p 1 $(E2E)

.PHONY: e2e
e2e: parts ## only the end-to-end tests
	$(TEST) -timeout 55m -count=1 -p 1 $(E2E)

.PHONY: bench
bench: parts ## benchmarks of the packages, then of the whole way beside this machine's floor
	go test -run '^$$' -bench . -benchmem $(UNITS)
	go run ./e2e/cmd/bench

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (30s)
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' events shared services e2e | sort | \
	while IFS=: read -r file func; do \
		dir=$$(dirname "$$file"); name=$${func#func }; \
		echo "== $$dir $$name"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "./$$dir" </dev/null; \
	done

.PHONY: demo
demo: deps ## the whole way on this machine; ONCE=1 ends by itself
	@go run ./e2e/cmd/demo $(if $(ONCE),-once)

# docker-compose.yaml on this machine's engine; OFFLINE=1 pulls nothing.
COMPOSE := go run ./e2e/cmd/compose $(if $(OFFLINE),-offline)

.PHONY: up
up: deps ## each service as a container (docker-compose); OFFLINE=1 builds NATS, registry and Git host too
	@.ci/setup docker
	@$(COMPOSE) up

.PHONY: push
push: ## after make up: push a new image; IMAGE=shop/web TAG=1.1.0
	@$(COMPOSE) push $(or $(IMAGE),shop/web) $(or $(TAG),1.1.0)

.PHONY: down
down: ## stop what make up started; VOLUMES=1 removes its data too
	@$(COMPOSE) $(if $(VOLUMES),-volumes) down

.PHONY: images
images: ## our images for amd64 and arm64, with SBOMs, as OCI layouts in bin/images/
	@go run ./e2e/cmd/images -revision "$$(git rev-parse HEAD)"

$(TOOLS): .tools/go.mod .tools/go.sum
	@echo "building golangci-lint and gofumpt (once, about 3 minutes)"
	@mkdir -p "$@"
	@GOWORK=off GOFLAGS= go -C .tools build -trimpath -o "$@/" tool || { rm -rf "$@"; exit 1; }
	@touch "$@"

.PHONY: lint
lint: $(TOOLS) ## golangci-lint over all modules
	$(TOOLS)/golangci-lint run $(addsuffix /...,$(DIRS))

.PHONY: fmt
fmt: $(TOOLS) ## format all Go files
	$(TOOLS)/golangci-lint fmt $(DIRS)

.PHONY: tidy
tidy: ## tidy each module's go.mod, with one version of each dependency
	go work sync
	@for dir in $(DIRS); do go -C "$$dir" mod tidy; done

.PHONY: generate
generate: ## write what is generated from the code
	go generate work

# The packages that hold goldens are those whose tests know -update, by
# themselves or by the suite of webhooks.
.PHONY: golden
golden: ## write the golden files again, to be read in the diff
	@grep -rlE --include='*_test.go' 'flag.Bool\("update"|webhooktest\.(Page|Suite)' events shared services e2e/deploy | xargs -n1 dirname | sort -u | \
	while read -r dir; do go test -count=1 "./$$dir" -update </dev/null; done

.PHONY: check
check: ## what must hold before a commit: format, lint, tidy, generated files, tests
	@test -z "$$($(MAKE) -s fmt-diff)" || { echo "make fmt would change files"; exit 1; }
	@for dir in $(DIRS); do go -C "$$dir" mod tidy -diff; done
	@$(MAKE) lint generate
	@git diff --exit-code
	@$(MAKE) test

.PHONY: fmt-diff
fmt-diff: $(TOOLS)
	@$(TOOLS)/golangci-lint fmt --diff $(DIRS)
