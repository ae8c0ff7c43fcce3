# make demo: the whole pipeline on rendered ears. make test: linters and tests. Both make .venv first.
SHELL := /bin/bash
VENV ?= .venv
RECIPE ?= configs/demo.yaml
# the first Python that is new enough; PYTHON=... chooses another
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# no more threads than cores, and few enough that small nets do not wait for them
CORES := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
export OMP_NUM_THREADS ?= $(shell echo $$(( $(CORES) < 8 ? $(CORES) : 8 )))
export NO_ALBUMENTATIONS_UPDATE := 1

.PHONY: help env demo test slow portable wheel lint clean

help:
	@echo "make demo      the pipeline on rendered ears; the report is runs/demo/report/index.html"
	@echo "make test      linters and tests"
	@echo "make slow      the tests that take longer"
	@echo "make portable  the tests that train, in the arithmetic of other processors"
	@echo "make wheel     dist/pinna-*.whl: the students that ship, to find ears with, without torch"
	@echo "make env       only the environment in $(VENV)"
	@echo "make clean     remove the environment and caches (runs/ stays)"

env: $(VENV)/.installed

# uv installs in seconds what takes pip minutes; pip is there for machines set up for it alone
$(VENV)/.installed: requirements.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; name one with PYTHON=..."; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/python -m uv pip install --python $(VENV)/bin/python -r requirements.txt \
		|| $(VENV)/bin/python -m pip install -r requirements.txt
	touch $@

demo: env
	$(VENV)/bin/python -m distill.run $(RECIPE)

lint: env
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check --quiet .

# A process a core, each with one thread: nets as small as the tests' gain nothing by two. Four at most, for memory.
TEST_PROCESSES ?= $(shell echo $$(( $(CORES) < 4 ? $(CORES) : 4 )))

test: env lint
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n $(TEST_PROCESSES) --dist loadfile

slow: env
	$(VENV)/bin/python -m pytest -q -m slow

# Each line is one run. What the processor lacks (AVX-512 on many) falls back to the next that it has.
ARITHMETICS := \
	OMP_NUM_THREADS=1,DNNL_MAX_CPU_ISA=SSE41 \
	OMP_NUM_THREADS=2,DNNL_MAX_CPU_ISA=AVX2 \
	OMP_NUM_THREADS=1,DNNL_MAX_CPU_ISA=AVX512_CORE \
	OMP_NUM_THREADS=2 \
	OMP_NUM_THREADS=1,ATEN_CPU_CAPABILITY=default

# without the files that hold no such test, which take longer to import than these to run
portable: env
	@failed=; files=$$(grep -l mark.trains tests/test_*.py); for arithmetic in $(ARITHMETICS); do \
		echo "== $$arithmetic"; \
		env -u DNNL_MAX_CPU_ISA -u ATEN_CPU_CAPABILITY $${arithmetic//,/ } \
			$(VENV)/bin/python -m pytest -q -m "trains and not slow" $$files || failed+=" $$arithmetic"; \
	done; if [ -n "$$failed" ]; then echo "error: tests fail with$$failed"; exit 1; fi

wheel: env
	$(VENV)/bin/python -m hatchling build -t wheel

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
	find configs data teacher students pinna distill tests -name __pycache__ -type d -prune -exec rm -rf {} +
