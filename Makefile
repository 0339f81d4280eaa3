PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One process more than there are cores, at most four: some tests wait for Ray, a browser or a server.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(min((os.cpu_count() or 1) + 1, 4))")

.PHONY: demo quick test check page clean

demo: $(STAMP)   ## the whole story on the miniature world; open demo/index.html afterwards
	$(BIN)/sat2cap demo --out demo

quick: $(STAMP)  ## a smaller demo; open demo-quick/index.html afterwards
	$(BIN)/sat2cap demo --quick --out demo-quick

# Bytecode is kept even where the environment says otherwise, or each of many short processes compiles all sources.
test: $(STAMP)   ## the tests, in one process more than there are cores, or in WORKERS
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest \
		--numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

page:            ## the live map's page, after a change in web/
	cd web && npm install --no-save --no-audit --no-fund && npm run build

check: $(STAMP)  ## style, types and architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo
