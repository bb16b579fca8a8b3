# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Both install into .venv first; PYTHON=... names another interpreter (3.11 or newer).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := torch==2.13.0
CAPTIONER := $(wildcard ./pretrained/flickr8k)

.PHONY: install demo test check slow docs bench dist clean

install: $(STAMP)

$(STAMP): pyproject.toml $(wildcard $(addprefix $(CAPTIONER)/,pyproject.toml src/*/run/SHA256SUMS))
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH) -e '.[dev]' $(CAPTIONER)
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/miacap demo --output demo

test: $(STAMP)
	$(BIN)/pytest -n 2 --dist loadfile

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

slow: $(STAMP)
	$(BIN)/pytest -m slow --timeout 1800

docs: $(STAMP)
	$(BIN)/python tests/house/test_docs_tables.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"

bench: $(STAMP)
	rm -rf bench
	for file in $(filter-out benchmarks/pairs.py benchmarks/page.py, $(wildcard benchmarks/*.py)); do \
		$(BIN)/python $$file || exit 1; done
	$(BIN)/python benchmarks/page.py bench/*.json

dist: $(STAMP)
	$(BIN)/python -m build --no-isolation --outdir dist .

clean:
	rm -rf $(VENV) build dist demo site
