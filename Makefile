# Two commands do all the set-up: `make demo` and `make test`. Both install into .venv, from constraints.txt.
PYTHON ?= python3
VENV := .venv
INSTALL := $(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check bench clean

demo: $(VENV)/.demo  ## the whole loop on this machine; ONCE=1 ends after the tour
	@$(VENV)/bin/seatrial demo $(if $(ONCE),--once)

test: $(VENV)/.dev  ## the tests; those that need Chromium, Docker or TensorFlow are skipped without it
	$(VENV)/bin/python -m pytest --numprocesses 5 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev  ## format, lint, types, import contracts, spelling
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/codespell

bench: $(VENV)/.dev  ## the benchmarks, as ratios within one run
	$(VENV)/bin/python -m benchmarks

clean:
	rm -rf $(VENV) .seatrial

$(VENV)/.demo: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Seatrial needs Python 3.11 or newer: make demo PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@echo "Installing into $(VENV) (about two minutes, 1 GB)"
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) --editable '.[demo]'
	@$(VENV)/bin/python -c 'from workers.platforms.embedded.googlesql.library import library; library()'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@$(INSTALL) --editable '.[dev]'
	@touch $@
