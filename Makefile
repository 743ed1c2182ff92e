# swift-mptcp. `make demo` needs no privilege; `make test` uses root, namespaces and a kernel with Multipath TCP where
# it finds them, and says what it skipped where it doesn't.

SWIFT ?= swift
BUILD := .build/release
TOOL := $(BUILD)/mptcp
# Kernel tests create namespaces and measure shares of bytes: they run after the others, alone.
TEST := $(SWIFT) test -c release --skip-build --disable-xctest --disable-testable-imports

.DEFAULT_GOAL := help
.PHONY: help demo test unit kernel-tests release bench bench-peer single-flow fmt fmt-check fuzz tools tests-built clean

help:
	@echo 'make demo     two emulated links in one process: no privilege needed'
	@echo 'make test     everything that can be tested here (installs Debian packages as root)'
	@echo 'make release  the tool, optimised: $(TOOL)'
	@echo 'make bench    against the kernel, in one run (root)'
	@echo 'make single-flow  goodput of one flow and fairness of two, by congestion controller, in the simulator'
	@echo 'make fuzz     ten million hostile inputs for every parser'
	@echo 'make fmt      swift format, in place'

# Package.swift looks at it: the backends' tests use @testable.
test unit kernel-tests tests-built: export MPTCP_TESTABLE = 1

release:
	$(SWIFT) build -c release --product mptcp

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

fuzz:
	$(SWIFT) run -c release Fuzz 10000000

single-flow:
	$(SWIFT) run -c release SingleFlow

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
