# flambeau: `make serve` shows it at work, `make test` checks it, `make bench` measures it.
# Needs Python 3.11 or later and make. Every target makes what it needs; finished steps leave a
# stamp in .venv/.stamps and are not repeated until pyproject.toml changes.

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
PIP := $(BIN)/python -m pip install --quiet
# The first interpreter that runs and is new enough; override with `make PYTHON=/path/to/python3.11`.
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3 python; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && break; \
	done)

# Only handlers need torch. The pin is the same for the example, the tests and the benchmark.
TORCH := torch==2.13.0
LEARN := scikit-learn

# What runs once more on the compiled build: a prediction's whole way, and what may cut it short.
# Compiling needs a C compiler; without one everything else is tested and measured all the same.
COMPILED := $(VENV)/compiled
IF_CC := $(if $(shell command -v cc),$(STAMPS)/compiled)
COMPILED_TESTS := tests/contract $(addprefix tests/live/test_,batching_live.py faults_kill.py \
	faults_overload.py grpc_live.py lifecycle_scaling.py lifecycle_stop.py streaming_live.py workers_live.py)

# One process of tests per core, a file of tests on one of them: what a module makes once (a trained
# model, certificates, a server) is made once. `make test ARGS="-n 0 ..."` runs all in one process.
PARALLEL := --numprocesses logical --dist loadfile --no-loadscope-reorder --durations 15

EXAMPLE := examples/digits
STORE := model-store

.DEFAULT_GOAL := help
.PHONY: help install serve test bench wheel clean

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

install: $(STAMPS)/install ## Make .venv with flambeau and its commands in .venv/bin.

serve: $(STORE)/digits.mar ## Train a small model on handwritten digits, serve it, print curl lines to try.
	@$(BIN)/python $(EXAMPLE)/serve.py --model-store $(STORE) $(ARGS)

test: $(STAMPS)/test $(IF_CC) ## Check style, types and layers, and run all tests. ARGS="-k name" narrows pytest.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)
	$(if $(IF_CC),$(if $(ARGS),,$(COMPILED)/bin/python -m pytest $(PARALLEL) $(COMPILED_TESTS)))

wheel: $(STAMPS)/wheel ## Build dist/*.whl: one of pure Python, and one with the hot path compiled (needs a C compiler).
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	HATCH_BUILD_HOOKS_ENABLE=1 $(BIN)/python -m build --no-isolation
	@ls dist/*

bench: $(STAMPS)/bench ## Compare with TorchServe and mosec. ARGS="--quick" for a short look.
	$(BIN)/python -m bench $(ARGS)

clean: ## Remove everything these targets made, .venv included.
	rm -rf $(VENV) .bench build dist $(STORE)/digits.mar .pytest_cache .mypy_cache .ruff_cache

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo "flambeau needs Python 3.11 or later; name one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/install: pyproject.toml $(STAMPS)/venv
	$(PIP) --editable .
	@touch $@

$(STAMPS)/serve: $(STAMPS)/install
	$(PIP) $(TORCH) $(LEARN)
	@touch $@

$(STAMPS)/test: $(STAMPS)/install $(STAMPS)/clients
	$(PIP) --group test $(TORCH) $(LEARN)
	@touch $@

# Real clients of other projects, each with dependencies of its own.
$(STAMPS)/clients: tests/live/clients/triton.txt tests/live/clients/kserve.txt $(STAMPS)/venv
	for each in triton kserve; do \
		$(BIN)/python -m venv $(VENV)/clients/$$each && \
		$(VENV)/clients/$$each/bin/python -m pip install --quiet \
			--requirement tests/live/clients/$$each.txt || exit 1; \
	done
	@touch $@

$(STAMPS)/wheel: $(STAMPS)/install
	$(PIP) --group wheel
	@touch $@

# The compiled wheel in an environment that shares the libraries of .venv. Its name comes before
# theirs on the path. The sources are copied first: compiling leaves its results beside them.
$(STAMPS)/compiled: $(STAMPS)/wheel $(shell find src -name '*.py' 2>/dev/null)
	rm -rf build/compiled $(COMPILED)
	HATCH_BUILD_HOOKS_ENABLE=1 $(BIN)/python -m build --no-isolation --outdir build/compiled
	$(BIN)/python -m venv --without-pip $(COMPILED)
	$(BIN)/python -c "import sys; print(*(each for each in sys.path if 'site-packages' in each), sep='\n')" \
		> $$($(COMPILED)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/libraries.pth
	$(BIN)/python -m pip --python $(COMPILED)/bin/python install --quiet --no-deps build/compiled/*.whl
	@touch $@

$(STAMPS)/bench: $(STAMPS)/install $(IF_CC)
	$(PIP) $(TORCH)
	@touch $@

build/digits.pt: $(STAMPS)/serve $(EXAMPLE)/train.py $(EXAMPLE)/model.py
	@mkdir -p build
	$(BIN)/python $(EXAMPLE)/train.py --out $@

$(STORE)/digits.mar: build/digits.pt $(EXAMPLE)/model.py $(EXAMPLE)/handler.py $(EXAMPLE)/png.py $(EXAMPLE)/model-config.yaml
	@mkdir -p $(STORE)
	$(BIN)/torch-model-archiver --model-name digits --version 1.0 --force --export-path $(STORE) \
		--model-file $(EXAMPLE)/model.py --serialized-file build/digits.pt --handler $(EXAMPLE)/handler.py \
		--extra-files $(EXAMPLE)/png.py --config-file $(EXAMPLE)/model-config.yaml
