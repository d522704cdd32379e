# Every target works in .venv/, which is made when it is missing or older than the lock file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
REPOSITORY ?= model_repository
SERVE_FLAGS ?=

.PHONY: demo test check serve clean

demo: $(READY)
	$(BIN)/python demo.py

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

serve: $(READY)
	$(BIN)/python -m serving $(REPOSITORY) $(SERVE_FLAGS)

# The stamp is written last: an interrupted installation is begun again.
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Exitgate needs Python 3.11 or newer; name one with PYTHON=") if sys.version_info < (3, 11) else None'
	@echo "Setting up $(VENV) from requirements.lock (about 5 GB, once) ..."
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar off --no-deps -r requirements.lock
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
