# lockstep: build, train, test. `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# A target may import only the layers that Package.swift gives it.
LAYERS := --explicit-target-dependency-import-check error
# The manifest is evaluated anew each time, and the plan made of it: they name the commit.
RELEASE := swift build -c release --manifest-cache none --disable-build-manifest-caching $(LAYERS)

# The demo run: the built-in text, a coordinator and two workers, less than a minute.
# Take other settings with `make train ARGS="my.txt --workers 4"`.
ARGS ?= --workers 2 --threads 1 --hidden 128 --layers 1 --dropout 0 --batch 64 --window 64 \
	--learning-rate 0.004 --steps 1500 --evaluate-every 500
# More for `swift test`, such as TESTFLAGS="--filter Corpus".
TESTFLAGS ?=
# For `make simulate`.
SEEDS ?= 100000
# For `make chaos`.
SECONDS ?= 60
# For `make recovery`.
TRIALS ?= 20
# For `make screenshots` and `make test-watching`.
OUTPUT ?= screenshots
PYTHON ?= python3

.PHONY: help setup build train test simulate chaos recovery screenshots test-watching fuzz sanitize lint format bench clean
.PHONY: package test-package test-slurm test-kubernetes test-systemd test-containers test-hosts

# A test of deployment says with exit code 77 that this machine lacks something, and what.
OR_SKIPPED := || [ $$? = 77 ]

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-25s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: libzmq3-dev and git by apt-get, as root or with sudo
	@if ! command -v swift > /dev/null; then \
		echo "make setup: swift is not installed or not on PATH: install Swift 6.3 or later from swift.org" >&2; exit 1; \
	fi; \
	packages=; \
	if [ ! -e /usr/include/zmq.h ]; then packages=libzmq3-dev; fi; \
	if ! command -v git > /dev/null; then packages="$$packages git ca-certificates"; fi; \
	if [ -z "$$packages" ]; then exit 0; fi; \
	if ! command -v apt-get > /dev/null; then \
		echo "make setup: there is no apt-get here: install git, and ZeroMQ 4.3 with its header zmq.h, yourself" >&2; exit 1; \
	fi; \
	as_root=; \
	if [ "$$(id -u)" != 0 ]; then \
		if ! command -v sudo > /dev/null; then \
			echo "make setup: not root, and no sudo: have an administrator run apt-get install $$packages" >&2; exit 1; \
		fi; \
		as_root=sudo; \
	fi; \
	echo "make setup: installing $$packages with $${as_root:+sudo }apt-get"; \
	$$as_root apt-get update -q; \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$packages

build: setup ## Build the release executable and say where it is
	$(RELEASE) --product lockstep
	@echo "built $$($(RELEASE) --show-bin-path)/lockstep"

train: build ## Train on the built-in text with two workers (ARGS="..." for other settings)
	"$$($(RELEASE) --show-bin-path)/lockstep" train $(ARGS)

test: setup ## Run all tests (TESTFLAGS="--filter NAME" for some)
	swift test --disable-xctest $(LAYERS) $(TESTFLAGS)

simulate: setup ## Run the protocol on SEEDS=100000 simulated networks, and all interleavings of a small world
	LOCKSTEP_SIMULATION_SEEDS=$(SEEDS) swift test -c release -Xswiftc -enable-testing --scratch-path .build-simulation --disable-xctest $(LAYERS) \
		--filter 'CoordinationTests\.(SimulationTests|SmallWorldTests)'

chaos: build ## Kill, stop, cut and join real processes for SECONDS=60, by SEED, on CORPUS=text
	LOCKSTEP_EXECUTABLE="$$($(RELEASE) --show-bin-path)/lockstep" LOCKSTEP_CHAOS_SECONDS=$(SECONDS) \
		$(if $(SEED),LOCKSTEP_CHAOS_SEED=$(SEED)) $(if $(CORPUS),LOCKSTEP_CHAOS_CORPUS="$(abspath $(CORPUS))") \
		swift test --disable-xctest $(LAYERS) --filter 'EndToEndTests\.ChaosTests'

recovery: build ## Time how long a run stands still after each fault, TRIALS=20 of each
	LOCKSTEP_EXECUTABLE="$$($(RELEASE) --show-bin-path)/lockstep" LOCKSTEP_RECOVERY_TRIALS=$(TRIALS) \
		swift test --disable-xctest $(LAYERS) --filter 'EndToEndTests\.RecoveryTimes'

screenshots: build ## Look at the live page of real runs in a browser, pictures in OUTPUT=screenshots, of CORPUS=text
	Tests/Watching/screenshots.py --lockstep "$$($(RELEASE) --show-bin-path)/lockstep" --output "$(OUTPUT)" \
		$(if $(CORPUS),--corpus "$(CORPUS)") $(OR_SKIPPED)

test-watching: build ## Have the terminal recorded, and /metrics, event files and trace read by promtool, Prometheus, TensorBoard (of PYTHON=python3)
	Tests/Watching/terminal.py --lockstep "$$($(RELEASE) --show-bin-path)/lockstep" --output "$(OUTPUT)"
	$(PYTHON) Tests/Watching/readers.py --lockstep "$$($(RELEASE) --show-bin-path)/lockstep" $(if $(CORPUS),--corpus "$(CORPUS)")
	Tests/Watching/grafana.py --lockstep "$$($(RELEASE) --show-bin-path)/lockstep" $(if $(CORPUS),--corpus "$(CORPUS)")

fuzz: setup ## Fuzz decoders of bytes that others wrote (messages, files, texts), SECONDS=10 each
	Tests/Fuzz/run $(if $(filter file,$(origin SECONDS)),10,$(SECONDS))

sanitize: setup ## Look for data races: the Training tests and runs of real processes under the thread sanitizer
	Tests/sanitize

lint: ## Check the format of Swift files and the syntax of scripts
	swift format lint --strict -r -p Sources Tests Package.swift
	@for script in .ci/run Benchmarks/run Benchmarks/shapes Benchmarks/overhead Benchmarks/reproduce Benchmarks/losses \
		Tests/Fuzz/run Tests/sanitize deploy/slurm/lockstep.sbatch \
		$$(find . -path './.*' -prune -o -name '*.sh' -print); do \
		if [ -e "$$script" ]; then bash -n "$$script"; fi; \
	done
	@sh -n deploy/systemd/coordinator-service
	@if grep -nE '[[:blank:]]+$$' Makefile .ci/run *.md; then \
		echo "make lint: the lines above end in blanks: take them off" >&2; exit 1; \
	fi

format: ## Bring Swift files into the project's format
	swift format -i -r -p Sources Tests Package.swift

bench: setup ## Time whole steps; CORPUS=text PEER_PYTHON=python3 times PyTorch beside them
	Benchmarks/run

.PHONY: bench-shapes
bench-shapes: setup ## Time steps of few rows, odd sizes, short windows and other vocabularies, and of one worker against two
	Benchmarks/shapes

.PHONY: bench-overhead
bench-overhead: build ## Time a checkpoint after each step, and audits, against neither: PAIRS=5 STEPS=20 CORPUS=text
	LOCKSTEP="$$($(RELEASE) --show-bin-path)/lockstep" Benchmarks/overhead

.PHONY: bench-watching
bench-watching: build ## Time what watching a run costs its coordinator: PAIRS=3 STEPS=40 CORPUS=text
	Benchmarks/watching --lockstep "$$($(RELEASE) --show-bin-path)/lockstep" $(if $(CORPUS),--corpus "$(CORPUS)") \
		$(if $(PAIRS),--pairs $(PAIRS)) $(if $(STEPS),--steps $(STEPS)) $(if $(MODEL),--model "$(MODEL)")

.PHONY: bench-losses
bench-losses: setup ## Set the losses of STEPS=600 steps beside PyTorch's: CORPUS=text PEER_PYTHON=python3
	Benchmarks/losses

.PHONY: reproduce-anna reproduce-tinyshakespeare
reproduce-anna: setup ## Train the classic recipe, 2 x 512, in hours: CORPUS=anna.txt EPOCHS=20 or STEPS=N
	Benchmarks/reproduce anna "$(CORPUS)"

reproduce-tinyshakespeare: setup ## Train char-rnn's defaults: CORPUS=tinyshakespeare.txt EPOCHS=33 or STEPS=N
	Benchmarks/reproduce tinyshakespeare "$(CORPUS)"

package: setup ## Make a .deb and a tarball in dist/
	deploy/package/build.sh

test-package: package ## Install the .deb into a clean Debian, run it there, boot it with both services
	deploy/package/test.sh $(OR_SKIPPED)

test-slurm: build ## Run jobs on a Slurm of its own, losing nodes on the way
	deploy/slurm/test.sh "$$($(RELEASE) --show-bin-path)/lockstep" $(OR_SKIPPED)

test-hosts: build ## Train on five network namespaces with CURVE, delay, loss, narrow links and a partition
	deploy/hosts/test.sh "$$($(RELEASE) --show-bin-path)/lockstep" $(OR_SKIPPED)

test-kubernetes: ## Render the manifests and hold them against the published schemas
	deploy/kubernetes/test.sh $(OR_SKIPPED)

test-systemd: ## Verify the units
	deploy/systemd/test.sh $(OR_SKIPPED)

test-containers: package ## Build the image and train in three containers
	deploy/container/test.sh .build-package/root/usr/bin/lockstep $(OR_SKIPPED)

clean: ## Remove what was built; runs stay
	rm -rf .build .build-* dist
