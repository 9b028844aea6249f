# The commands of this project. `make` alone lists them.

GOLANGCI_VERSION      := v2.15.0
WORKFLOWCHECK_VERSION := v0.6.0
GOVULNCHECK_VERSION   := v1.9.0
FUZZTIME              ?= 10s

# One set of build flags for everything: Temporal's server takes minutes to
# compile, and other flags would compile it a second time. Without cgo the
# binary is static, and what is tested is what ships.
export CGO_ENABLED := 0
export GOFLAGS     := $(strip $(filter-out -trimpath,$(GOFLAGS)) -trimpath)

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

TOOLS         := $(CURDIR)/bin/tools
GOLANGCI      := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)
WORKFLOWCHECK := $(TOOLS)/workflowcheck-$(WORKFLOWCHECK_VERSION)
GOVULNCHECK   := $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Build, and run everything in one process (needs only Go and make)
	bin/postdate dev

.PHONY: demo
demo: build ## See a thousand payment requests expire, receivers fail, and Postdate be killed: under three minutes
	go run ./examples/payments/demo $(DEMO_FLAGS)

.PHONY: build
build: ## Build bin/postdate
	@[ -e bin/postdate ] || echo "The first build compiles Temporal's server: about nine minutes on two cores. After that it takes seconds."
	go build -ldflags '$(LDFLAGS)' -o bin/postdate ./cmd/postdate

.PHONY: test
test: ## Run all tests that need no service and no network
	scripts/test

.PHONY: race
race: ## Run the same tests with the race detector in Temporal's server too: slow
	CGO_ENABLED=1 go test -race -timeout 30m ./...

.PHONY: test-integration
test-integration: ## Run the tests that need PostgreSQL, MariaDB, RabbitMQ, Node.js and Chromium (installed where missing), and check docker-compose.yml
	go -C deploy/composetest test -count=1 ./...
	go -C bench/river test -count=1 ./...
	scripts/with-postgres scripts/with-mysql scripts/with-rabbitmq scripts/test-integration

.PHONY: lint
lint: $(GOLANGCI) $(WORKFLOWCHECK) ## Lint, and check that workflows are deterministic
	$(GOLANGCI) run
	cd deploy/composetest && $(GOLANGCI) run --config $(CURDIR)/.golangci.yml
	cd bench/river && $(GOLANGCI) run --config $(CURDIR)/.golangci.yml
	$(WORKFLOWCHECK) ./workflows/...

.PHONY: vulncheck
vulncheck: $(GOVULNCHECK) ## Look for known vulnerabilities in what the binary calls, where their database can be had
	@go build -o bin/tools/postdate-with-symbols ./cmd/postdate
	@scripts/vulncheck $(GOVULNCHECK) bin/tools/postdate-with-symbols

.PHONY: generate
generate: ## Write again all that is generated: the API's server and client, docs
	go generate ./...

.PHONY: generate-check
generate-check: ## Fail where something generated is not up to date
	scripts/generate-check

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME (10s)
	scripts/fuzz $(FUZZTIME)

.PHONY: bench
bench: build ## Measure speed, beside what people use instead: about a quarter of an hour
	go run ./bench $(BENCH_FLAGS)

.PHONY: bench-quick
bench-quick: build ## Measure in about a minute, with less precision
	go run ./bench --quick $(BENCH_FLAGS)

.PHONY: bench-integration
bench-integration: build ## Measure on PostgreSQL (installed where missing): about half an hour
	go build -C bench/river -o $(CURDIR)/bin/bench-river .
	scripts/with-postgres --durable sh -c 'go run ./bench --postgres "$$POSTDATE_TEST_POSTGRES" "$$@"' bench $(BENCH_FLAGS)

.PHONY: clean
clean: ## Remove what was built. Data under .postdate stays
	rm -rf bin

# The version is in the file's name, so that a new one is installed by itself.
$(GOLANGCI):
	$(call install,github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION))

$(WORKFLOWCHECK):
	$(call install,go.temporal.io/sdk/contrib/tools/workflowcheck@$(WORKFLOWCHECK_VERSION))

$(GOVULNCHECK):
	$(call install,golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION))

# $(call install,path@version) installs a command as the target's file.
define install
	@mkdir -p $(TOOLS)/new
	GOBIN=$(TOOLS)/new go install $(1)
	@mv $(TOOLS)/new/* $@
endef
