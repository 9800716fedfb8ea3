# Everything starts from package registries: Debian's, PyPI's and the Go module proxy. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

DEV := build/dev
PYTHON := $(DEV)/bin/python
export PYTHONPATH := operator:images:tests:.
CHECKED := operator images/distillation_stages testbed demo release tests benchmarks argocd

# Layers that mostly wait run next to others that compute: each may use all cores for a while.
JOBS := 3
SIDE_BY_SIDE = +@$(MAKE) --no-print-directory --jobs=$(JOBS) NAMED=yes
PYTEST := $(DEV)/bin/pytest
# A line for each test, as minutes pass between them, and where the time went.
SLOW_PYTEST := $(PYTEST) -v --durations=10
# Every line of what runs side by side says which it is from.
NAME_LINES = $(if $(NAMED),2>&1 | sed -u 's/^/[$@] /')

# A build in the background must not slow down tests that look at a clock.
BUILD = nice -n 10 $(PYTHON) -m testbed build

CLUSTER_LIFECYCLE := $(addprefix tests/cluster/test_,controller.py suspend_and_delete.py permissions.py)
CLUSTER_HALVES := test-cluster-lifecycle test-cluster-others
E2E_CLUSTER := $(addprefix tests/e2e/test_,demo.py first_hour.py pods.py pod_faults.py users_cluster.py both_places.py)
E2E_HALVES := test-e2e-cluster test-e2e-programs

.PHONY: $(shell grep -ohE '^[a-z][a-z0-9-]*:' $(MAKEFILE_LIST) | tr -d :)

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# Any Python 3.12 will do: on the path, or one of pyenv's.
FIND_PYTHON = for python in python3.12 $${HOME:-}/.pyenv/versions/3.12*/bin/python3.12 python3; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "Python 3.12 is needed (python3.12 on the PATH, or pyenv's); with uv: uv python install 3.12 --default"; exit 1; \
	fi

# Needs nothing but that Python: the rest is made as it goes, and what the machine lacks is said at once.
BOOTSTRAP = @$(FIND_PYTHON); exec "$$found" -m demo.bootstrap

setup: $(DEV)/.complete ## the development environment, build/dev

$(DEV)/.complete: requirements/dev.txt pyproject.toml
	@echo "setup: Python 3.12 environment in $(DEV)"
	@rm -rf $(DEV)
	@$(FIND_PYTHON); \
	"$$found" -m venv $(DEV)
	@$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	@$(PYTHON) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

toolchain: setup ## Kubernetes, the runtime packages and the stages' environments (about ten minutes from nothing)
	$(PYTHON) -m testbed build

# Its parts, each for the layers that use it. What the others share with the control plane is compiled with that.
toolchain-%: setup
	@$(BUILD) $* $(NAME_LINES)

ENVIRONMENTS := operator fetcher trainer converter teacher

toolchain-environments: setup
	@$(BUILD) $(ENVIRONMENTS) $(NAME_LINES)

# What nearly all layers need, at once: the environments are mostly downloaded while Kubernetes is compiled.
toolchain-base: setup
	@$(BUILD) control-plane $(ENVIRONMENTS) $(NAME_LINES)

toolchain-kueue toolchain-helm toolchain-node toolchain-gcs: toolchain-control-plane

generate: setup ## the CRD, the reference pages and Argo CD's ConfigMap from their sources
	$(PYTHON) -m distillation_api.schemas.crd > crds/distillationjobs.yaml
	cp crds/distillationjobs.yaml charts/distillation-operator/files/
	$(PYTHON) -m distillation_api.schemas.reference > docs/api.md
	$(PYTHON) -m distillation_api.schemas.reasons_page > docs/reasons.md
	$(PYTHON) -m distillation_api.schemas.maxtext_page > docs/maxtext-settings.md
	$(PYTHON) argocd/config_map.py > argocd/argocd-cm.yaml
	$(PYTHON) -m models.page
	$(PYTHON) -m benchmarks.control_plane.page
	$(PYTHON) -m release.chart_readme

version: setup ## write VERSION=x.y.z everywhere, from the one place that has it
	@$(PYTHON) -m release.version "$(VERSION)"
	@$(MAKE) --no-print-directory generate

release: setup toolchain-helm ## wheel, sdist, chart, image, notes, provenance and checksums of this commit, in build/release (RELEASE.md)
	@$(PYTHON) -m release $(RELEASE_OPTIONS)

# Pins that stand stay, unless pyproject.toml asks for others: delete a lock to take the newest of all.
LOCK_OPTIONS := --generate-hashes --no-header --no-emit-index-url --python-version 3.12
LOCK = @$(DEV)/bin/uv pip compile -q pyproject.toml $(LOCK_OPTIONS)
# Tools of their own environments: nothing of ours is installed beside them.
LOCK_TOOL = @$(DEV)/bin/uv pip compile -q $(LOCK_OPTIONS)

lock: setup ## the hashed locks in requirements/, from pyproject.toml
	$(LOCK) --extra operator -o requirements/operator.txt
	$(LOCK) --extra teacher --override requirements/overrides-teacher.txt -o requirements/teacher.txt
	$(LOCK) --extra teacher-tpu -o requirements/teacher-tpu.txt
	$(LOCK) --extra trainer -o requirements/trainer.txt
	$(LOCK) --extra converter -o requirements/converter.txt
	$(LOCK) --extra fetcher --constraint requirements/converter.txt -o requirements/fetcher.txt
	$(LOCK) --extra operator --group dev -o requirements/dev.txt
	$(LOCK_TOOL) --group installer -o requirements/installer.txt
	$(LOCK_TOOL) --group sbom -o requirements/sbom.txt
	$(LOCK_TOOL) --group scanner -o requirements/scanner.txt

lint: setup
	$(DEV)/bin/ruff check $(CHECKED)
	$(DEV)/bin/ruff format --check -q $(CHECKED)
	$(DEV)/bin/mypy $(CHECKED)
	$(DEV)/bin/lint-imports

# Lanes side by side, each in this order: what a layer needs is built while those before it run. The stage programs take
# longest and compute all the time; what stands still for its cluster leaves them the cores.
LANE_ONE := test-unit test-cluster-lifecycle test-e2e-cluster
LANE_TWO := toolchain-base test-cluster-others test-chart test-browser images
LANE_THREE := test-e2e-programs
IN_TURN = +@for target in $(1); do $(MAKE) --no-print-directory NAMED=yes $$target; done

test: setup ## all layers
	$(SIDE_BY_SIDE) lane-one lane-two lane-three

lane-one: setup
	$(call IN_TURN,$(LANE_ONE))

lane-two: setup
	$(call IN_TURN,$(LANE_TWO))

lane-three: setup
	$(call IN_TURN,$(LANE_THREE))

test-unit: lint ## pure code, in seconds
	$(PYTEST) tests/unit $(NAME_LINES)

test-cluster: setup ## the API and the controller on a real control plane
	$(SIDE_BY_SIDE) $(CLUSTER_HALVES)

test-cluster-lifecycle: toolchain-control-plane
	SESSION=lifecycle $(SLOW_PYTEST) $(CLUSTER_LIFECYCLE) $(NAME_LINES)

test-cluster-others: toolchain-control-plane toolchain-kueue
	SESSION=others $(SLOW_PYTEST) tests/cluster $(CLUSTER_LIFECYCLE:%=--ignore=%) $(NAME_LINES)

test-lifecycle: toolchain-control-plane toolchain-kueue ## of these: lifecycle, permissions, queues and replicas
	$(PYTEST) $(CLUSTER_LIFECYCLE) tests/cluster/test_kueue.py tests/cluster/test_replicas.py

test-chart: toolchain-control-plane toolchain-node toolchain-helm toolchain-operator toolchain-scanner ## the chart: rendered, scanned, and installed on a cluster whose pods run
	$(PYTEST) tests/chart $(NAME_LINES)

test-browser: toolchain-control-plane toolchain-browser ## the dashboard in a headless browser, on a real control plane
	$(SLOW_PYTEST) tests/browser $(NAME_LINES)

images: toolchain-control-plane toolchain-node ## the operator's image, built by buildah without a registry, and run on a testbed
	$(PYTEST) tests/image_build/test_images.py $(NAME_LINES)

images-all: toolchain-control-plane toolchain-node ## the same with all stages' images (5 to 11 GB each)
	$(PYTEST) tests/image_build

flood: toolchain-control-plane ## 2,000 Jobs of big annotations with our labels in one namespace, while jobs of another run
	FLOOD=2000 $(SLOW_PYTEST) -s tests/cluster/test_flood.py

soak: toolchain-control-plane ## an hour with 300 active jobs behind an API server that fails in every way; the last line is JSON
	$(PYTHON) -m soak $(SOAK_OPTIONS)

chaos: setup ## 200 jobs while operators are killed and the API server restarts; the last line is JSON
	$(PYTHON) -m chaos

test-e2e: setup ## real vLLM and MaxText on a real node, the operator killed on the way
	$(SIDE_BY_SIDE) $(E2E_HALVES)

test-e2e-cluster: toolchain-control-plane toolchain-node toolchain-helm toolchain-environments
	$(SLOW_PYTEST) -m "not long" $(E2E_CLUSTER) $(NAME_LINES)

test-e2e-programs: toolchain-environments toolchain-gcs
	$(SLOW_PYTEST) -m "not long" tests/e2e $(E2E_CLUSTER:%=--ignore=%) $(NAME_LINES)

test-long: toolchain-control-plane toolchain-node toolchain-environments toolchain-gcs ## those of the stage programs that `make test` leaves out for their time
	$(SLOW_PYTEST) -m long tests/e2e

test-kills: toolchain-environments toolchain-gcs ## each stage program killed at 20 random moments (about half an hour)
	KILLS=20 $(PYTEST) tests/e2e/test_kills.py

test-torn: toolchain-environments ## a conversion and a training each killed at 25 random moments on a bucket without directories (about half an hour)
	KILLS=25 $(PYTEST) -s tests/e2e/test_torn_saves.py

test-models: toolchain-environments ## each named model, small, through the whole program; writes the table of docs/models.md (under an hour)
	$(SLOW_PYTEST) tests/models

test-large: toolchain-control-plane toolchain-node toolchain-environments ## a whole job on 20,000 rows of which one in a hundred is broken
	$(PYTEST) -s tests/large

bench: toolchain-control-plane ## 10,000 finished jobs, 300 active, a burst of 1,000 on a real control plane; AGAINST=COMMIT compares
	$(PYTHON) -m benchmarks.control_plane $(if $(AGAINST),--against $(AGAINST)) $(BENCH_OPTIONS)

benchmark: toolchain-teacher ## tokens per second of generation against one bare llm.generate call
	$(PYTHON) benchmarks/generation.py

benchmark-training-data: toolchain-environments ## the trainer's start with 2,000 and 200,000 rows, and its loss against MaxText's own data pipeline
	PYTHONPATH=operator:images:tests:. $(PYTHON) benchmarks/training_data.py

benchmark-crd: toolchain-control-plane ## what the CRD's rules cost the API server, at a create and at a status update
	PYTHONPATH=operator:images:tests:. $(PYTHON) benchmarks/crd_validation.py

benchmark-first-step: toolchain-environments ## where a training's start goes, with cold and warm caches of compiled programs, and what its imports cost
	PYTHONPATH=operator:images:tests:. $(PYTHON) benchmarks/first_step.py

benchmark-training-wrapper: toolchain-environments ## the training stage's step time, and its time after the first step, against the bare MaxText command
	$(PYTHON) benchmarks/training_wrapper.py

benchmark-recipe: toolchain-environments ## the quickstart's job by the operator against the guide's commands one after the other
	$(PYTHON) benchmarks/recipe.py

quickstart: ## a small distillation on this machine, with Python 3.12 alone: no Kubernetes, no root, no Go
	$(BOOTSTRAP) quickstart

demo: ## one manifest to a distilled student, on a real single-node cluster
	$(BOOTSTRAP) demo

demo-online: ## the same by online logit matching
	$(BOOTSTRAP) demo --online

demo-preview: ## the same after a preview, whose estimate is compared with what the rest takes
	$(BOOTSTRAP) demo --preview

pictures: setup ## the pictures of the README, in docs/pictures: the stages, `watch`, a report (with Debian's chromium)
	@$(PYTHON) -m demo.pictures

playground: setup ## that cluster with the chart installed, left up to try things (docs/first-hour.md)
	@$(PYTHON) -m demo --playground

down: setup ## end all testbeds of this checkout
	@for folder in build/testbed/*/; do $(PYTHON) -m testbed down --name "$$(basename "$$folder")"; done

clean: ## what was made in this checkout; the caches stay
	rm -rf build
