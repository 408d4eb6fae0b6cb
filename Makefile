# SWIFT              the swift command
# SWIFT_TEST_FLAGS   more arguments for `swift test`, such as --filter AMQPTests
# TEST_WIDTH         how many tests may run at once
# FUZZ_SECONDS       how long to fuzz in all: see Fuzz/README.md
# BENCH_*            sizes of the comparison: see Benchmarks/README.md
SWIFT ?= swift
export SWIFT

SOURCES := $(wildcard Package.swift Sources Tests Workers Examples Benchmarks Fuzz)

.PHONY: help demo test bench fuzz lint format docs clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

demo: ## Build the demonstration and run it
	@Scripts/demo.sh

test: ## Build and run all tests beside private RabbitMQ, Redis and Python Celery
	@Scripts/test.sh

bench: ## Compare with a bare C client and with Python Celery in one run
	@Benchmarks/run.sh

fuzz: ## Fuzz what reads the wire, and fail on any finding
	@Scripts/fuzz.sh

lint: ## Check the format
	$(SWIFT) format lint --strict --recursive $(SOURCES)

format: ## Apply the format
	$(SWIFT) format --in-place --recursive $(SOURCES)

docs: ## Build the documentation into .build/docs
	@Scripts/docs.sh

clean: ## Remove what was built and cached
	rm -rf .build .cache
