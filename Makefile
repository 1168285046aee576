# Each target first does what it needs, and nothing twice: the environment and the starter index are made when they are
# missing or older than what they are made from.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INDEX := build/starter
FLAGS := qa/red_flags.json
Q ?= why are office workers' hip flexors so tight?
export Q

.PHONY: help setup serve ask test lint bench clean

help:
	@echo "make serve         environment, starter index, server with page at http://127.0.0.1:8000/ (or PORT=...)"
	@echo "make ask Q=\"...\"   ask one question in the terminal"
	@echo "make test          environment and the whole test suite"
	@echo "make lint          ruff and mypy --strict"
	@echo "make bench         measure citewell beside five other systems, write docs/performance.md (FULL=1, MEDQUAD=DIR)"
	@echo "make setup         the environment alone, in $(VENV)"
	@echo "make clean         remove environment and everything built"

setup: $(VENV)/.ready

$(VENV)/.ready: constraints.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'Python 3.11 or newer is needed, this is ' + sys.version.split()[0] + '; try: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

$(INDEX)/current.json: $(VENV)/.ready $(wildcard corpus/starter/*.md corpus/*.py corpus/readers/*.py index/*.py)
	$(BIN)/python -m index build corpus/starter --out $(INDEX)

# The phrases of the red flags as files of keys: without it a first start files them itself, which takes half a second.
$(FLAGS): $(VENV)/.ready qa/red_flags.toml $(wildcard qa/*.py)
	@$(BIN)/python -m qa.flags

serve: $(VENV)/.ready $(INDEX)/current.json $(FLAGS)
	$(BIN)/python server.py --index $(INDEX)$(if $(PORT), --port $(PORT))

ask: $(VENV)/.ready $(INDEX)/current.json $(FLAGS)
	@$(BIN)/python -m qa --index $(INDEX) -- "$$Q"

test: $(VENV)/.ready $(FLAGS)
	$(BIN)/python -m pytest

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .

bench: $(VENV)/.ready $(FLAGS)
	$(BIN)/python -m benchmarks.bench$(if $(FULL), --full)$(if $(MEDQUAD), --medquad $(MEDQUAD))

clean:
	rm -rf $(VENV) $(FLAGS) build .pytest_cache .mypy_cache .ruff_cache .hypothesis
