# `make help` lists what there is to do.
#
# Needed on the machine: Python >= 3.10 with venv, git and make. Everything
# else, git-annex too, is installed into the virtual environment $(VENV).

PYTHON ?= python3
VENV ?= .venv
# more arguments for pytest, for example: make test PYTEST_ARGS='-k archive'
PYTEST_ARGS ?=
# a directory with the files of a visit for `make demo`; default: a phantom
VISIT ?=
# a build of OHIF for `make demo`, as `npm pack @ohif/app` makes it
VIEWER ?=
# anything here lets `make demo` serve the store and its catalog until Ctrl-C
SERVE ?=
# more arguments for the benchmarks; `make bench BENCH_ARGS=--help` lists them
BENCH_ARGS ?=

# absolute, because recipes and their children may change the directory
venv := $(if $(filter /%,$(VENV)),$(VENV),$(CURDIR)/$(VENV))
bin := $(venv)/bin
# git-annex and the helpers that it and git look for are found here, first
export PATH := $(bin):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONHOME
unexport PYTHONPATH
unexport VIRTUAL_ENV

# one environment: two pips at a time would be one too many
.NOTPARALLEL:
.DEFAULT_GOAL := help

.PHONY: help demo test lint format types docs bench check wheel clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | expand -t 10

demo: $(VENV)/.stamp-all ## the whole workflow on a phantom, or on VISIT=DIR
	@"$(bin)/python" -m demo.run $(if $(VISIT),--visit "$(VISIT)") \
	  $(if $(VIEWER),--viewer "$(VIEWER)") $(if $(SERVE),--serve)

test: $(VENV)/.stamp-tests ## all tests, on all cores, with coverage
	"$(bin)/python" -m pytest --numprocesses=auto --dist=worksteal --cov \
	  --cov-report=term $(PYTEST_ARGS)

lint: $(VENV)/.stamp-lint ## format, style and spelling
	"$(bin)/ruff" format --check
	"$(bin)/ruff" check
	"$(bin)/codespell"

format: $(VENV)/.stamp-lint ## put the code into the format that `lint` wants
	"$(bin)/ruff" check --fix-only
	"$(bin)/ruff" format

types: $(VENV)/.stamp-lint ## type annotations
	"$(bin)/mypy"

docs: $(VENV)/.stamp-docs ## the documentation, into docs/_build/html
	$(MAKE) -C docs html SPHINXBUILD='"$(bin)/python" -m sphinx'

bench: $(VENV)/.stamp-all ## speed and memory, as ratios to a floor
	"$(bin)/python" -m benchmarks.run $(BENCH_ARGS)

check: lint types test docs ## all that must hold before a change is merged

wheel: $(VENV)/.stamp-base ## the distribution, into dist/
	rm -rf build dist
	"$(bin)/python" -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove the environment and all that was built
	rm -rf "$(VENV)" build dist docs/_build docs/cmd/generated htmlcov
	rm -rf .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf datalad_icf.egg-info
	find datalad_icf tests demo benchmarks docs -name __pycache__ -prune \
	  -exec rm -rf {} +

# ---------------------------------------------------------------- environment
# A stamp says which extras are installed; it is older than a changed setup.cfg.

$(VENV)/.stamp-venv:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo '$(PYTHON) is missing or older than 3.10; try: make PYTHON=...' >&2; \
	    exit 1; }
	@rm -rf "$(VENV)"
	@"$(PYTHON)" -m venv "$(VENV)" || { rm -rf "$(VENV)"; exit 1; }
	@touch "$@"

$(VENV)/.stamp-base: $(VENV)/.stamp-venv setup.cfg pyproject.toml
	@echo 'Installing into $(VENV) ...'
	@"$(bin)/python" -m pip install --quiet --editable .
	@touch "$@"

$(VENV)/.stamp-%: $(VENV)/.stamp-venv setup.cfg pyproject.toml
	@echo 'Installing into $(VENV), with what "$*" needs ...'
	@"$(bin)/python" -m pip install --quiet --editable '.[$*]'
	@touch "$@"
