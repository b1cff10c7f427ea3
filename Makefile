# `make demo` and `make test` do all their own set-up, in .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-guides test-paper test-gpu check docs paper clean
.DELETE_ON_ERROR:

help:
	@echo "make demo   train, export and score the demo network; writes runs/demo/report.html"
	@echo "make test   every check and every quick test"
	@echo "make test-guides  the commands of the guides, as far as this machine can run them"
	@echo "make paper  set up the reproduction of the paper (paper/README.md)"
	@echo "make test-paper  the quick tests of the reproduction"
	@echo "make test-gpu  what only runs on a GPU; skipped without one"
	@echo "make check  the checks alone: ruff, mypy, import-linter, faces of rooms, codespell"
	@echo "make docs   build the documentation site into site/; warnings are errors"
	@echo "make clean  remove the environment, caches and builds; runs/ stays"
	@echo "Another Python: make test PYTHON=python3.12"

# Typed again it continues an interrupted demo, or shows the result of a finished one.
demo: $(VENV)/.demo-installed
	$(BIN)/tapetum demo --resume

# Two workers of one thread each: threads that wait must not spin beside a busy neighbour.
# Each takes half of the files, so that few fixtures of a file are made twice.
test: check $(VENV)/.web-installed
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 --dist worksteal

test-guides: $(VENV)/.dev-installed $(VENV)/.web-installed
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 -m slow tests/test_docs_guides.py

# The reproduction of the paper has its own tests and its own pytest settings.
test-paper: $(VENV)/.dev-installed
	cd paper && OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE ../$(BIN)/python -m pytest -n 2

test-gpu: $(VENV)/.dev-installed
	cd paper && ../$(BIN)/python -m pytest tests/test_gpu.py -rs

paper: $(VENV)/.dev-installed
	@echo "Ready: $(BIN)/python -m tapetum_paper --list"

check: $(VENV)/.dev-installed
	scripts/check

# The warning of the theme is about a major version of mkdocs that is not used here.
docs: $(VENV)/.docs-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests benchmarks paper -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.demo-installed: pyproject.toml | $(VENV)/.created
	@echo "Installing what the demo needs into $(VENV) (once; several minutes on a slow line)"
	$(BIN)/python -m pip install -e '.[demo]'
	@touch $@

$(VENV)/.docs-installed: pyproject.toml | $(VENV)/.created
	@echo "Installing what the documentation needs into $(VENV) (once)"
	$(BIN)/python -m pip install -e '.[docs]'
	@touch $@

# [dev] includes [demo] and [docs], hence three stamps.
$(VENV)/.dev-installed: pyproject.toml paper/pyproject.toml | $(VENV)/.created
	@echo "Installing what the tests need into $(VENV) (once; several minutes on a slow line)"
	$(BIN)/python -m pip install -e '.[dev]' -e ./paper
	@touch $@ $(VENV)/.demo-installed $(VENV)/.docs-installed

# What an exported HTML file contains; without it the tests of such files are skipped.
$(VENV)/.web-installed: | $(VENV)/.created
	@if command -v npm > /dev/null; then \
	  npm install --no-audit --no-fund --ignore-scripts --prefix $(VENV) onnxruntime-web@1.30.0 && touch $@ \
	    || echo "onnxruntime-web could not be installed: the tests of HTML files are skipped"; \
	else echo "npm is not here: the tests of HTML files are skipped"; fi

# A stamp and not bin/python, which is there even after a set-up that failed half-way.
$(VENV)/.created:
	@command -v "$(PYTHON)" > /dev/null || { \
	  echo "There is no '$(PYTHON)' here: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"; \
	  exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Tapetum needs Python 3.11 or newer and '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1): name a newer one: make PYTHON=python3.12"; \
	  exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)"; \
	  exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	@touch $@
