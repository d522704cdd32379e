# Every target works in .venv/, which is made when it is missing or older than the lock file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TRITON := .venv-triton
TRITON_READY := $(TRITON)/.ready
TRITON_LOCK := serving/triton/requirements.lock
CLIENTS := .venv-clients
CLIENTS_READY := $(CLIENTS)/.ready
CLIENTS_LOCK := tests/conformance/requirements.lock
REPOSITORY ?= model_repository
SERVE_FLAGS ?=

.PHONY: demo test check serve triton peers clean

demo: $(READY)
	$(BIN)/python demo.py

test: $(READY) $(TRITON_READY) $(CLIENTS_READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

serve: $(READY)
	$(BIN)/python -m serving $(REPOSITORY) $(SERVE_FLAGS)

triton: $(TRITON_READY)

# Servers that benchmarks.peers measures beside Exitgate and Triton.
peers: $(READY) $(TRITON_READY)
	$(BIN)/python -m benchmarks.peers.environments

# The stamp goes first and is written last: an interrupted installation is begun again. A link is not followed:
# `venv --clear` would empty somebody else's environment.
$(READY): requirements.lock
	@if [ -L $(VENV) ]; then echo "$(VENV) is a link; remove it, and make will set up one of its own" >&2; exit 1; fi
	@rm -f $@
	@$(PYTHON) -c 'import sys; sys.exit("Exitgate needs Python 3.11 or newer; name one with PYTHON=") if sys.version_info < (3, 11) else None'
	@echo "Setting up $(VENV) from requirements.lock (about 5 GB, once) ..."
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar off --no-deps -r requirements.lock
	@touch $@

# The real Triton that tests, and `serve` when it is asked to, start. Its Python backend misreads NumPy 2, so
# it lives apart. Where it cannot be installed, the reason is printed and its tests are skipped.
$(TRITON_READY): $(TRITON_LOCK) | $(READY)
	@rm -rf $(TRITON) && mkdir $(TRITON)
	@if $(BIN)/python -m serving.triton.installation; then \
		echo "Setting up $(TRITON) from $(TRITON_LOCK) (about 300 MB, once) ..." && \
		$(BIN)/python -m venv $(TRITON) && \
		$(TRITON)/bin/python -m pip install --quiet --progress-bar off --no-deps -r $(TRITON_LOCK); \
	fi
	@touch $@

# Clients that tests run unchanged against this server and against Triton: KServe's, and perf_analyzer.
$(CLIENTS_READY): $(CLIENTS_LOCK) | $(READY)
	@rm -rf $(CLIENTS) && mkdir $(CLIENTS)
	@if $(BIN)/python -m tests.conformance.installation; then \
		echo "Setting up $(CLIENTS) from $(CLIENTS_LOCK) (about 400 MB, once) ..." && \
		$(BIN)/python -m venv $(CLIENTS) && \
		$(CLIENTS)/bin/python -m pip install --quiet --progress-bar off --no-deps -r $(CLIENTS_LOCK); \
	fi
	@touch $@

clean:
	rm -rf $(VENV) $(TRITON) $(CLIENTS) .venv-peers-* .mypy_cache .ruff_cache .pytest_cache .hypothesis
