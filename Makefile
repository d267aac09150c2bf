# make chat     talk to a model that remembers (sets everything up the first time)
# make test     the whole test suite (sets everything up the first time)
# make help     the other commands
#
#   PYTHON=python3.12 make chat          another interpreter
#   make chat ARGS="--session ada"       options of `loma-memory chat`
#   make test ARGS="-k store -x"         options of pytest

VENV   := .venv
MODEL  := smollm2-135m-instruct
TORCH  := torch==2.13.0
EXTRAS := dev,train,postgres,encryption,langchain,langchain-agents,langchain-classic,llama-index
ARGS   ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Set-up steps must not eat the standard input: in `make chat < file` it belongs to the chat.
QUIET_STDIN := </dev/null
step = @printf '\n==> %s\n' '$(1)'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help setup setup-dev model chat test test-long test-latest check format-check lint types docs format clean

help:
	@echo "make chat       set up once, then talk to a model that remembers  (ARGS='--session ada')"
	@echo "make test       set up once, then run the whole test suite        (ARGS='-k store')"
	@echo "make check      format, lint, types, tests, docs: what CI runs"
	@echo "make test-long  the tests that take minutes, too"
	@echo "make test-latest  the LangChain tests with its latest releases"
	@echo "make format     format the code and sort the imports"
	@echo "make clean      remove .venv and what tools left behind (fetched models stay)"

# --- set-up: each step leaves a stamp, so that the next call starts at once -------------------------

setup: $(VENV)/.stamp-package
setup-dev: $(VENV)/.stamp-dev

# PYTHON, if given, is the interpreter; else the first one on the PATH that is new enough.
$(VENV)/.stamp-venv:
	$(call step,1/3 Python environment in $(VENV))
	@set -e; \
	for py in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do \
	  if "$$py" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$py; break; fi; \
	done $(QUIET_STDIN); \
	if [ -z "$$found" ]; then \
	  echo "Python 3.11 or newer is needed and was not found. Install it, or name it: make PYTHON=/path/to/python3"; \
	  exit 1; \
	fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1 $(QUIET_STDIN); then \
	  rm -rf $(VENV); \
	  "$$found" -m venv $(VENV) $(QUIET_STDIN) || { \
	    rm -rf $(VENV); \
	    echo "'$$found -m venv' failed. On Debian and Ubuntu the module is a package of its own: apt install python3-venv"; \
	    exit 1; }; \
	fi; \
	$(BIN)/python --version; touch $@

# torch goes first and pinned: left to the other requirements, pip may pick another build of several GB.
$(VENV)/.stamp-torch: constraints.txt | $(VENV)/.stamp-venv
	$(call step,2/3 $(TORCH) (the largest download))
	@$(PIP) install -c constraints.txt "$(TORCH)" $(QUIET_STDIN) || { \
	  echo "Installing $(TORCH) failed: look at pip's lines above. Once that is solved, call make again; it goes on from here."; \
	  exit 1; }
	@touch $@

$(VENV)/.stamp-package: pyproject.toml constraints.txt $(VENV)/.stamp-torch
	$(call step,3/3 loma-memory and what it needs)
	@$(PIP) install -c constraints.txt -e . $(QUIET_STDIN) || { \
	  echo "Installing loma-memory failed: look at pip's lines above. Once that is solved, call make again."; \
	  exit 1; }
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml constraints.txt $(VENV)/.stamp-package
	$(call step,tools and extras for the tests ($(EXTRAS)))
	@$(PIP) install -c constraints.txt -e ".[$(EXTRAS)]" $(QUIET_STDIN) || { \
	  echo "Installing the test tools failed: look at pip's lines above. Once that is solved, call make again."; \
	  exit 1; }
	@touch $@

# Has no stamp: the model lies in the user's cache folder, and looking there takes no time.
model: setup
	@$(BIN)/python -m loma_memory.engine.fetch "$(MODEL)" $(QUIET_STDIN)

# --- the commands -----------------------------------------------------------------------------------

chat: model
	@exec $(BIN)/loma-memory chat $(ARGS)

test: setup-dev model
	$(call step,tests)
	@$(BIN)/python -m pytest $(ARGS)

test-long: setup-dev model
	$(call step,tests that take minutes included)
	@$(BIN)/python -m pytest -m "long or not long" $(ARGS)

# An overlay in front of the environment, so that nothing else in it changes.
test-latest: setup-dev model
	$(call step,the LangChain tests with its latest releases)
	@rm -rf $(VENV)/latest
	@$(PIP) install --quiet --no-deps --target $(VENV)/latest -r integrations/langchain-loma/latest.txt $(QUIET_STDIN)
	@PYTHONPATH=$(VENV)/latest $(BIN)/python -c "import langchain, langchain_core as c; print('langchain', langchain.__version__, 'core', c.__version__)"
	@PYTHONPATH=$(VENV)/latest $(BIN)/python -m pytest integrations/langchain-loma $(ARGS)

check: format-check lint types test docs

format-check: setup-dev
	$(call step,ruff format --check)
	@$(BIN)/ruff format --check . || { echo "Run 'make format'."; exit 1; }

lint: setup-dev
	$(call step,ruff check)
	@$(BIN)/ruff check .

types: setup-dev
	$(call step,mypy --strict)
	@$(BIN)/mypy

docs: setup-dev
	$(call step,links and examples in the documents)
	@$(BIN)/python -m pytest -q tests/test_docs.py

format: setup-dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
