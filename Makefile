# swift-mptcp. `make demo` needs no privilege; `make test` uses root, namespaces and a kernel with Multipath TCP where
# it finds them, and says what it skipped where it doesn't.

SWIFT ?= swift
BUILD := .build/release
TOOL := $(BUILD)/mptcp
CAPI := .build/capi
# Kernel tests create namespaces and measure shares of bytes: they run after the others, alone.
TEST := $(SWIFT) test -c release --skip-build --disable-xctest --disable-testable-imports

.DEFAULT_GOAL := help
.PHONY: help capi demo test unit kernel-tests release bench bench-peer fmt fmt-check fuzz flood conformance tools \
	tests-built clean middleboxes silence soak kernel-boxes single-flow grid

help:
	@echo 'make demo     two emulated links in one process: no privilege needed'
	@echo 'make test     everything that can be tested here (installs Debian packages as root)'
	@echo 'make conformance  the requirements of RFC 8684, 6824, 6897: what honours each, and which test proves it'
	@echo 'make release  the tool, optimised: $(TOOL)'
	@echo 'make capi     the driven host for C: $(CAPI)/libcmptcp.so and cmptcp.h'
	@echo 'make kernel-boxes  every middlebox in real time against the kernel: the table (root, about half an hour)'
	@echo 'make bench    against the kernel, in one run (root)'
	@echo 'make middleboxes  every middlebox x version x side x paths x 50 seeds, simulated: the table of outcomes'
	@echo 'make silence  how long a receiver hears nothing when paths are lost, come back, change (simulated)'
	@echo 'make soak     24 simulated hours of random connections, faults and middleboxes (HOURS=, SEED=)'
	@echo 'make single-flow  goodput of one flow and fairness of two, by congestion controller, in the simulator'
	@echo 'make grid     two paths beside the better one alone, over rates, delays, losses and queues, in the simulator'
	@echo 'make fuzz     ten million hostile inputs for every parser'
	@echo 'make flood    a million packets of each kind against a listener with live connections'
	@echo 'make fmt      swift format, in place'

# Package.swift looks at it: the backends' tests use @testable.
test unit kernel-tests tests-built: export MPTCP_TESTABLE = 1

release:
	$(SWIFT) build -c release --product mptcp

# With the Swift runtime inside, so that it runs where no Swift is; Package.swift looks at MPTCP_CAPI.
capi: export MPTCP_CAPI = 1
capi:
	$(SWIFT) build -c release --product cmptcp
	@mkdir -p $(CAPI)
	@cp Sources/CMPTCP/Header/include/cmptcp.h $(CAPI)/cmptcp.h
	@strip --strip-unneeded -o $(CAPI)/libcmptcp.so $(BUILD)/libcmptcp.so || cp $(BUILD)/libcmptcp.so $(CAPI)/libcmptcp.so
	@echo 'library: $(CURDIR)/$(CAPI)/libcmptcp.so'
	@echo 'header:  $(CURDIR)/$(CAPI)/cmptcp.h'

demo: release
	$(TOOL) demo

tools:
	@bash Scripts/install-test-tools

tests-built:
	$(SWIFT) build -c release --build-tests

unit: tests-built
	$(TEST) --skip '^KernelTests\.'

kernel-tests: tests-built
	$(TEST) --filter '^KernelTests\.' --no-parallel

test: tools tests-built
	$(TEST) --skip '^KernelTests\.'
	$(TEST) --filter '^KernelTests\.' --no-parallel

conformance:
	$(SWIFT) run -c release Conformance

middleboxes:
	$(SWIFT) run -c release Middleboxes $(SEEDS)

silence:
	$(SWIFT) run -c release Silence $(SEEDS)

HOURS ?= 24
SEED ?= 0
soak:
	$(SWIFT) run -c release Soak $(HOURS) $(SEED)

fuzz:
	$(SWIFT) run -c release Fuzz 10000000

flood:
	$(SWIFT) run -c release Flood

# ROW=payload for some of the rows; INSIDE=server to turn the boxes round.
kernel-boxes: release
	$(SWIFT) build -c release --product KernelBoxes
	$(BUILD)/KernelBoxes "$(ROW)" $(if $(INSIDE),--inside $(INSIDE))

single-flow:
	$(SWIFT) run -c release SingleFlow

grid:
	$(SWIFT) run -c release Grid

bench: release bench-peer
	python3 Benchmarks/bench.py --tool $(TOOL) --peer .build/bench-peer

bench-peer: .build/bench-peer

.build/bench-peer: Benchmarks/peer.c
	@mkdir -p .build
	$(CC) -O2 -Wall -Wextra -o $@ $<

fmt:
	$(SWIFT) format format --in-place --parallel --recursive Package.swift Sources Tests

fmt-check:
	$(SWIFT) format lint --parallel --recursive Package.swift Sources Tests

clean:
	rm -rf .build
