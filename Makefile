# What a newcomer needs: make demo, make test. Both do their own set-up.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# A Go that was unpacked where its page says, but is not in PATH yet, will do.
export PATH := $(PATH):/usr/local/go/bin

# The version stamp needs a git that may read this folder; without, build all
# the same.
BUILDFLAGS := $(shell git status --porcelain >/dev/null 2>&1 || echo -buildvcs=false)

FUZZTIME ?= 30s
KILLS ?= 1000
AGENTS ?= 13000
BENCH ?= .
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT := mvdan.cc/gofumpt@v0.12.0

.PHONY: help demo build test lint pcsc soak outage keyring fuzz bench crash bench-all bench-sync bench-load long conformity \
	desk desk-demo desk-run package package-run idle clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: build ## set up, build, and run the main job from tap to acknowledged visit
	@bin/chamthe demo

build: ## set up, and build bin/chamthe and bin/chamthe-central
	@.ci/setup build
	@go build $(BUILDFLAGS) -o bin/ ./agent/cmd/chamthe ./sync/cmd/chamthe-central

test: ## set up, and run all tests with the race detector
	@.ci/setup test
	go vet ./...
	go test -race -timeout 14m ./...

lint: ## formatting, vet, staticcheck, and builds for other systems
	@.ci/setup test
	@.ci/lint $(STATICCHECK) $(GOFUMPT)

desk: ## set up, and build bin/chamthe-desk (the first time takes some minutes)
	@.ci/setup desk
	@go build $(BUILDFLAGS) -tags migrated_fynedo -o bin/ ./ui/cmd/chamthe-desk

desk-demo: desk ## open the desk with sample cards, for training
	@bin/chamthe-desk --demo

desk-run: desk build ## use the desk on a virtual screen, and take pictures
	@.ci/desk-run

package: build ## build .deb, Windows setup, bill of materials and checksums into dist/
	@.ci/setup package
	@.ci/package

package-run: package ## install, use, upgrade and remove what package has built
	@.ci/package-run

conformity: ## judge the inspection by the 268 cases of TR-03105-5.1
	@go test -count=1 -v -run TestConformity ./icao/conformitytest | grep -E 'passed|^(ok|FAIL)'

long: ## run the long forms of tests: mutations, state machines, timing
	@.ci/setup test
	CHAMTHE_LONG=1 CHAMTHE_MUTATION=1 CHAMTHE_MUTATIONS=4000 CHAMTHE_LARGEST=1 CHAMTHE_TIMING=100000 \
	  go test -count=1 -timeout 60m ./icao/... ./agent/checkin ./agent/picture

idle: build ## measure the daemon at rest, also on a real card service
	@.ci/setup pcsc
	@.ci/idle pcsc

pcsc: build ## read the software chip through a real smart card service
	@.ci/setup pcsc
	@.ci/pcsc-run

soak: build ## lay 10,000 cards on a virtual reader and 200 on a real service, and measure idling
	@.ci/setup pcsc
	CHAMTHE_SOAK=10000 go test -count=1 -timeout 20m -v -run 'TestSoak|TestIdle' ./reader/readertest
	CHAMTHE_SOAK=1 go test -count=1 -v -run 'TestIdle$$' ./reader/serial
	CHAMTHE_SOAK=200 CHAMTHE_IDLE=60s .ci/pcsc-run

outage: build ## lose the link and the power, and see every visit arrive
	@.ci/setup outage
	@.ci/outage-run

keyring: ## keep, rotate and destroy keys in a real keyring (Secret Service)
	@.ci/setup keyring
	@.ci/keyring-run

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@.ci/setup test
	@.ci/fuzz $(FUZZTIME)

bench: ## measure an inspection against its aims: exchanges, modelled times, processor time
	@.ci/setup test
	@.ci/bench

bench-all: ## run the benchmarks that match BENCH (all)
	@.ci/setup test
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

crash: ## kill agent, servers and nodes KILLS (1000) times, and count what arrives
	@.ci/setup test
	@.ci/crash $(KILLS)

bench-sync: ## measure recording, a backlog and the start against their aims
	@.ci/setup test
	@.ci/bench-sync

bench-load: ## have AGENTS (13000) look up and record against one central service
	@.ci/setup test
	@CHAMTHE_AGENTS=$(AGENTS) .ci/bench-sync load

clean: ## remove what was built
	rm -rf bin .run dist
