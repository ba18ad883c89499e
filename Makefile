# Every target makes what it needs: a fresh clone and a Python of 3.11 or later are enough.
#
#   make run     evaluate the scripted and random agents on every family and print the report
#   make test    lint, format, types, layers, tests
#   make check   make test, and the tests with a real vLLM on the CPU
#   make docs    write the pages made from the code, and the picture of the last run
#   make bench   the world's budgets, each beside its peer measured in the same run
#   make bench-harness   the runner's budgets, beside a plain aiohttp loop and Inspect AI
#   make test-vllm   real vLLM on the CPU with a tiny model made on the spot, in .venv-vllm

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check --quiet install
SEEDS  ?= 20
RUN    ?= runs/first.sqlite

.PHONY: run test check lint format types layers pytest test-vllm fuzz certify docs bench bench-harness clean

run: $(VENV)/.installed
	rm -f $(RUN)
	$(BIN)/impress eval --agent scripted/honest --agent 'scripted/mixed?p=0.3' --agent random \
	  --seeds $(SEEDS) --out $(RUN)

test: lint format types layers pytest

check: test test-vllm

lint: $(VENV)/.developed
	$(BIN)/ruff check .

format: $(VENV)/.developed
	$(BIN)/ruff format --check .

types: $(VENV)/.developed
	$(BIN)/mypy

layers: $(VENV)/.developed
	$(BIN)/lint-imports

pytest: $(VENV)/.developed
	$(BIN)/pytest

test-vllm: $(VENV)/.developed $(VENV)-vllm/.installed
	IMPRESS_VLLM=$(VENV)-vllm $(BIN)/pytest tests/vllm --durations=10

fuzz: $(VENV)/.developed
	IMPRESS_FUZZ_SECONDS=$${IMPRESS_FUZZ_SECONDS:-600} $(BIN)/pytest tests/fuzz

certify: $(VENV)/.installed
	$(BIN)/impress certify

docs: $(VENV)/.installed
	$(BIN)/python docs/build.py
	if test -f $(RUN); then $(BIN)/impress report $(RUN) --svg docs/run.svg > /dev/null; fi

bench: $(VENV)/.installed $(VENV)-bench/.installed
	$(BIN)/python -m benchmarks.bench_world

bench-harness: $(VENV)/.developed $(VENV)-inspect/.installed
	$(BIN)/python -m benchmarks.bench_harness

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/.developed: $(VENV)/.installed
	$(PIP) -e '.[dev]'
	touch $@

$(VENV)-bench/.installed: benchmarks/requirements-agentdojo.txt
	test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip --disable-pip-version-check --quiet install --no-deps -r $<
	touch $@

$(VENV)-inspect/.installed: benchmarks/requirements-inspect.txt
	test -x $(VENV)-inspect/bin/python || $(PYTHON) -m venv $(VENV)-inspect
	$(VENV)-inspect/bin/python -m pip --disable-pip-version-check --quiet install --no-deps -r $<
	touch $@

$(VENV)-vllm/.installed: tests/vllm/install.sh
	PYTHON=$(PYTHON) bash $< $(VENV)-vllm
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-bench $(VENV)-inspect $(VENV)-vllm .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
