# Every target works from a bare clone with Python 3.11 and make; all of it lives in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: reproduce test package lint typecheck bench docs clean

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

# Verify every theorem, draw every figure, write the report, and say where it is.
reproduce: $(BIN)/.installed
	$(BIN)/rltheory reproduce

test: $(BIN)/.installed
	$(BIN)/python -m pytest -q -n auto

# Sdist and wheel in dist/, tried in a new environment without extras.
package: $(BIN)/.installed
	$(BIN)/python packaging/check.py

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# A type checker wants the namespace as a folder: build/types/rltheory holds links to the packages.
typecheck: $(BIN)/.installed
	rm -rf build/types && mkdir -p build/types/rltheory
	for package in analysis tabular games linear_mdp theory paper_figures cli; do \
		ln -s ../../../$$package build/types/rltheory/$$package; \
	done
	cd build/types && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p rltheory

# Side by side with other packages, written to docs/benchmarks.md; wants a quiet machine.
bench: $(BIN)/.installed
	$(BIN)/pip install --quiet --editable '.[bench]'
	# Without its dependencies: only its networks need them, and they hold JAX back.
	$(BIN)/pip install --quiet --no-deps LiteEFG==1.0.0
	$(BIN)/python -m benchmarks

# Draws the figures that `make reproduce` has not left in out/figures; needs no network.
docs: $(BIN)/.installed
	$(BIN)/sphinx-build -q -W -j auto -b html docs docs/_build
	@echo "The pages are in docs/_build/index.html"

clean:
	rm -rf .venv build dist out docs/_build
