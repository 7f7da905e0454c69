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

EXAMPLE := examples/digits
STORE := model-store

.DEFAULT_GOAL := help
.PHONY: help install serve test bench clean

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

install: $(STAMPS)/install ## Make .venv with flambeau and its commands in .venv/bin.

serve: $(STORE)/digits.mar ## Train a small model on handwritten digits, serve it, print curl lines to try.
	@$(BIN)/python $(EXAMPLE)/serve.py --model-store $(STORE) $(ARGS)

test: $(STAMPS)/test ## Check style, types and layers, and run all tests. ARGS="-k name" narrows pytest.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(ARGS)

bench: $(STAMPS)/bench ## Compare with TorchServe and mosec. ARGS="--quick" for a short look.
	$(BIN)/python -m bench $(ARGS)

clean: ## Remove everything these targets made, .venv included.
	rm -rf $(VENV) .bench build $(STORE)/digits.mar .pytest_cache .mypy_cache .ruff_cache

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

$(STAMPS)/bench: $(STAMPS)/install
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
