# Every target has its help line; `make` prints them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ENV    := $(VENV)/.done
FILE   ?= examples/quickstart.yaml

# Where it is set, every worker and each of the hundreds of processes that tests start compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up test check fuzz e2e e2e-all bench bench-operator crds docs charts k8s images lock clean

help: ## print this
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(ENV): requirements.lock pyproject.toml
	@echo "Making the environment in $(VENV) (a minute or two, once) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

up: $(ENV) ## run a whole topology on this machine (FILE=examples/quickstart.yaml)
	@$(BIN)/ruttactl up -f $(FILE)

test: $(ENV) ## make the environment and run all tests
	$(BIN)/pytest -q -n 3 --dist loadfile

check: $(ENV) ## formatting, lint, types, who may import whom, generated files; what CI runs beside the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

fuzz: $(ENV) ## the long version of the fuzz tests (a million inputs)
	RUTTA_FUZZ=1 $(BIN)/pytest -q -m fuzz --timeout 3600

E2E = $(BIN)/pytest -q e2e --suite $(1) $(if $(CLUSTER),--cluster $(CLUSTER)) $(if $(KEEP),--keep) $(if $(REQUIRE),--require)
e2e: $(ENV) ## scenarios on a kind cluster of their own, what CI runs (CLUSTER=mine KEEP=1 to use one again; e2e/README.md)
	$(call E2E,ci)

e2e-all: $(ENV) ## all scenarios, with as many events as the promise says (an hour)
	$(call E2E,all)

bench: $(ENV) ## how fast it is, beside rsyslog, syslog-ng and Logprep where they are installed
	$(BIN)/python bench/run.py

bench-operator: $(ENV) ## what the operator costs with 1 000 resources, on a kind cluster with kwok's fake nodes
	$(BIN)/python bench/scale.py

crds: $(ENV) ## regenerate what comes from the data plane's types: the schema that ruttactl checks against, and crds/
	$(BIN)/rutta schema > operator/rutta_operator/schema.json
	$(BIN)/python -m rutta_operator.definitions.crds crds
	$(BIN)/python charts/generate.py

docs: $(ENV) ## regenerate the settings tables of the docs
	$(BIN)/python docs/generate.py

charts: $(ENV) ## regenerate what the charts have from crds/ and values, the rendered examples and k8s/install.yaml (needs helm)
	$(BIN)/python charts/generate.py

k8s: $(ENV) ## regenerate the overlays' manifests and the kustomize component from their sources
	$(BIN)/python k8s/generate.py

VERSION = $(shell sed -n 's/^version = "\(.*\)".*/\1/p' pyproject.toml)
BUILD = docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null) \
  $(if $(PYTHON_IMAGE),--build-arg PYTHON=$(PYTHON_IMAGE))

images: ## build both images, as latest and by version (PYTHON_IMAGE=another base than python:3.11-slim)
	$(BUILD) -f Dockerfile.dataplane -t logary/rutta:latest -t logary/rutta:$(VERSION) .
	$(BUILD) -f Dockerfile.operator -t logary/rutta-operator:latest -t logary/rutta-operator:$(VERSION) .

# In a cluster kopf logs in by the service account. Its other way, the client library that understands any kubeconfig, is
# 126 MB in the image and 19 MiB of memory as soon as it can be imported.
UNUSED = $(addprefix --no-emit-package ,kubernetes aiohttp-retry certifi charset-normalizer durationpy oauthlib \
  python-dateutil requests requests-oauthlib urllib3 websocket-client)
COMPILE = uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
# The images have locks of their own: pip takes all of a file of hashes, or nothing.
lock: ## write requirements.lock, and requirements/ for the images, anew from pyproject.toml (needs uv)
	$(COMPILE) --extra dev -o requirements.lock pyproject.toml
	$(COMPILE) --extra operator $(UNUSED) -c requirements.lock -o requirements/operator.lock pyproject.toml
	$(COMPILE) --extra dataplane --extra kafka --extra googlecloud -c requirements.lock -o requirements/dataplane.lock pyproject.toml
	echo hatchling | $(COMPILE) -c requirements.lock -o requirements/build.lock -

clean: ## remove the environment and what runs left behind
	rm -rf $(VENV) var dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
