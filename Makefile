# make run    make an environment, then train SymCERE on the bundled sample
# make test   the tests
# make test-stock  every model of RecBole's: which run, which are refused and why
# make docs   the site, in docs/_build/html
# make check  what a reviewer runs: format, lint, types, tests
# Another Python: make run PYTHON=python3.13. More settings: make run ARGS="--epochs=3"

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/installed
DOCS := $(VENV)/docs-installed

.PHONY: run test test-slow test-stock check lint docs clean

run: $(READY)
	$(BIN)/python run_recbole_symcere.py --model=SymCERE --dataset=yelp $(ARGS)

# a file's tests stay together, for they share encoders, runs and a start of Ray
test: $(READY)
	$(BIN)/python -m pytest -n auto --dist=loadfile --no-loadscope-reorder --durations=10 $(ARGS)

test-slow: $(READY)
	$(BIN)/python -m pytest -m "slow or realdata" $(ARGS)

test-stock: $(READY)
	$(BIN)/python -m pytest -m stock -n auto $(ARGS)

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

docs: $(DOCS)
	$(BIN)/python -m sphinx -W --keep-going -n -q -j auto -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

# RecBole pins an old Ray that has no build for newer Pythons, so it comes without its requirements;
# constraints.txt lists all of them.
$(READY): constraints.txt setup.cfg pyproject.toml
	$(PYTHON) -c "import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f'Python 3.11 to 3.13 is needed, this is {v.major}.{v.minor}; name one with PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps recbole==1.2.1 -e .
	touch $@

$(DOCS): $(READY) docs/requirements.txt
	$(BIN)/python -m pip install --quiet -r docs/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) docs/_build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
