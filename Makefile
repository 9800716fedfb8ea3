# Everything starts from package registries: Debian's, PyPI's and the Go module proxy. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

DEV := build/dev
PYTHON := $(DEV)/bin/python
export PYTHONPATH := operator:images:tests:.
CHECKED := operator images/distillation_stages testbed demo tests benchmarks argocd

.PHONY: help setup toolchain generate lint test test-unit test-cluster test-lifecycle test-chart images images-all chaos test-e2e test-kills benchmark demo demo-online playground down clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(DEV)/.complete ## the development environment, build/dev

# Any Python 3.12 will do: on the path, or one of pyenv's.
$(DEV)/.complete: requirements/dev.txt pyproject.toml
	@echo "setup: Python 3.12 environment in $(DEV)"
	@rm -rf $(DEV)
	@for python in python3.12 $$HOME/.pyenv/versions/3.12*/bin/python3.12 python3; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then echo "setup: Python 3.12 is needed (python3.12 on the PATH, or pyenv's)"; exit 1; fi; \
	"$$found" -m venv $(DEV)
	@$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	@$(PYTHON) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

toolchain: setup ## Kubernetes, the runtime packages and the stages' environments (about ten minutes from nothing)
	$(PYTHON) -m testbed build

generate: setup ## the CRD, the reference pages and Argo CD's ConfigMap from their sources
	$(PYTHON) -m distillation_api.schemas.crd > crds/distillationjobs.yaml
	cp crds/distillationjobs.yaml charts/distillation-operator/files/
	$(PYTHON) -m distillation_api.schemas.reference > docs/api.md
	$(PYTHON) -m distillation_api.schemas.reasons_page > docs/reasons.md
	$(PYTHON) -m distillation_api.schemas.maxtext_page > docs/maxtext-settings.md
	$(PYTHON) argocd/config_map.py > argocd/argocd-cm.yaml

lint: setup
	$(DEV)/bin/ruff check $(CHECKED)
	$(DEV)/bin/ruff format --check -q $(CHECKED)
	$(DEV)/bin/mypy $(CHECKED)
	$(DEV)/bin/lint-imports

test: test-unit test-cluster test-chart images test-e2e ## all layers

test-unit: lint ## pure code, in seconds
	$(DEV)/bin/pytest tests/unit

test-cluster: setup ## the API and the controller on a real control plane
	$(DEV)/bin/pytest tests/cluster

test-lifecycle: setup ## of these: lifecycle, permissions, queues and replicas
	$(DEV)/bin/pytest tests/cluster/test_controller.py tests/cluster/test_suspend_and_delete.py \
	  tests/cluster/test_permissions.py tests/cluster/test_kueue.py tests/cluster/test_replicas.py

test-chart: toolchain ## the chart: rendered, and installed on a cluster whose pods run
	$(DEV)/bin/pytest tests/chart

images: toolchain ## the operator's and the trainer's image, built by buildah without a registry, and run on a testbed
	STAGE_IMAGES=trainer $(DEV)/bin/pytest tests/image_build

images-all: toolchain ## the same with all stages' images (5 to 11 GB each)
	STAGE_IMAGES="trainer converter teacher" $(DEV)/bin/pytest tests/image_build

chaos: setup ## 200 jobs while operators are killed and the API server restarts; the last line is JSON
	$(PYTHON) -m reliability

test-e2e: toolchain ## real vLLM and MaxText on a real node, the operator killed on the way
	$(DEV)/bin/pytest tests/e2e

test-kills: toolchain ## each stage program killed at 20 random moments (about half an hour)
	KILLS=20 $(DEV)/bin/pytest tests/e2e/test_kills.py

benchmark: toolchain ## tokens per second of generation against one bare llm.generate call
	$(PYTHON) benchmarks/generation.py

demo: setup ## one manifest to a distilled student, on a real single-node cluster
	@$(PYTHON) -m demo

demo-online: setup ## the same by online logit matching
	@$(PYTHON) -m demo --online

playground: setup ## that cluster with the chart installed, left up to try things (docs/first-hour.md)
	@$(PYTHON) -m demo --playground

down: setup ## end all testbeds of this checkout
	@for folder in build/testbed/*/; do $(PYTHON) -m testbed down --name "$$(basename "$$folder")"; done

clean: ## what was made in this checkout; the caches stay
	rm -rf build
