# make demo   simulate a small scene, restore it with the shipped weights, write volumes and a picture to demo/
# make test   the quick tests      make test-all   the slow ones as well      make lint   ruff and mypy
# make gui    the tests of the napari plugin in a real window, which `make test` runs as well; skipped where none can be shown
# make gpu    where there is CUDA: the tests that hold it to the CPU's answer, and the timings
# The environment .venv is made on first use and again only when pyproject.toml or constraints.txt change.
# pip is steered from outside by its own variables (PIP_INDEX_URL, PIP_FIND_LINKS, ...); PYTHON=... picks the interpreter.

.PHONY: demo test test-all gui lint gpu clean venv
.DEFAULT_GOAL := test

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -p no:pytest-qt --numprocesses=$(JOBS) --dist=worksteal

# A display that nobody sees, where it can be had; else the one that there is. pytest-qt ends all tests where Qt cannot
# load, so that without a window it stays out and the tests are skipped with the reason.
DISPLAYED := $(if $(shell command -v xauth 2>/dev/null),$(if $(shell command -v xvfb-run 2>/dev/null),xvfb-run -a -s "-screen 0 1280x1024x24"))

# The folder of real data: tests that need it are skipped where there is none.
ifndef CRYOWAE_DATA
ifneq ($(wildcard ../shared/data),)
export CRYOWAE_DATA := $(abspath ../shared/data)
endif
endif

demo: $(STAMP)
	$(BIN)/cryowae demo --output demo --overwrite

test: $(STAMP)
	$(PYTEST)
	@$(MAKE) --no-print-directory gui

gui: $(STAMP)
	@if $(DISPLAYED) $(BIN)/python tests/gui/probe.py > /dev/null 2>&1; then qt=; else qt="-p no:pytest-qt"; fi; \
	set -x; $(DISPLAYED) $(BIN)/python -m pytest $$qt -m gui tests/gui

test-all: $(STAMP)
	$(PYTEST) -m "not gui and not network"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

gpu: $(STAMP)
	$(BIN)/python -m pytest -p no:pytest-qt -m gpu
	$(BIN)/cryowae benchmark speed --device cuda --size 128 --size 256 --size 256,512,512

venv: $(STAMP)

clean:
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# An interpreter that is new enough and can make environments; else one that is new enough; else whatever there is.
$(STAMP): pyproject.toml constraints.txt
	@set -eu; \
	if ! $(BIN)/python -c "import pip" 2>/dev/null; then \
	  python=""; old=""; bare=""; \
	  for candidate in $${PYTHON:-python3 python3.13 python3.12 python3.11}; do \
	    "$$candidate" -c "" 2>/dev/null || continue; \
	    "$$candidate" -c "import sys; sys.exit(sys.version_info < (3, 11))" || { old="$$old $$candidate"; continue; }; \
	    "$$candidate" -c "import ensurepip, venv" 2>/dev/null || { bare="$$bare $$candidate"; continue; }; \
	    python="$$candidate"; break; \
	  done; \
	  if [ -z "$$python" ] && [ -n "$$bare" ]; then \
	    echo "Python cannot make environments here ($${bare# }: no ensurepip). Install it: sudo apt-get install -y python3-venv" >&2; exit 1; \
	  elif [ -z "$$python" ]; then \
	    echo "cryowae needs Python 3.11 or newer; found:$${old:- none}. Install it (sudo apt-get install -y python3 python3-venv" \
	      "on Debian 12+ or Ubuntu 24.04+), or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$python" -V); torch and its company take a few minutes, once" >&2; \
	  "$$python" -m venv --clear $(VENV); \
	fi
	$(BIN)/python -m pip install --quiet --constraint constraints.txt hatchling
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable ".[simulate,benchmark,baselines,napari,test,lint]"
	@touch $@
