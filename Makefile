PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check format lint docs bench clean

demo: $(VENV)/train.done  ## the whole story on a world of pictures and captions, with a report
	$(BIN)/isthmus demo

test: $(VENV)/dev.done  ## tests and doctests
	$(BIN)/python -m pytest -n 2 -q

check: lint test  ## what CI runs: format, lint, types, docs, tests

lint: $(VENV)/dev.done  ## format, lint, types, docs
	$(BIN)/ruff format --check src tests benchmarks docs recipes
	$(BIN)/ruff check src tests benchmarks docs recipes
	$(BIN)/ty check
	$(BIN)/python docs/commands.py | diff docs/commands.md - || (echo "run: make docs" && false)
	$(BIN)/zensical build --strict

format: $(VENV)/dev.done
	$(BIN)/ruff format src tests benchmarks docs recipes
	$(BIN)/ruff check --fix src tests benchmarks docs recipes

docs: $(VENV)/dev.done  ## write the help of the commands and the pictures into docs/, and build the pages in .venv/site
	$(BIN)/python docs/commands.py > docs/commands.md
	$(BIN)/python docs/world.py
	$(BIN)/python docs/figures.py
	$(BIN)/zensical build --strict

bench: $(VENV)/dev.done  ## figures of speed and memory
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) isthmus-demo

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("isthmus needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/%.done: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[$*]"
	touch $@
