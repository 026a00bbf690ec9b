# `make tune` and `make test` are all that a new machine needs: Python 3.11 and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pip compiles what it installs, so that Ray's many processes start from byte code.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: setup tune test test-slow check format bench bench-search bench-winner bench-wire chaos ray-contract lock clean

setup: $(VENV)/.assets

$(VENV)/.installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("raysweep needs Python 3.11 or newer: make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint requirements.lock --editable '.[dev]'
	@touch $@

$(VENV)/.assets: $(VENV)/.installed raysweep/assets.py
	$(BIN)/raysweep assets fetch
	@touch $@

tune: setup
	$(BIN)/python scripts/tune.py $(ARGS)

test: setup
	$(BIN)/python -m pytest

# What takes longer than 20 s a test: whole sweeps of the paid path at our own server.
test-slow: setup
	$(BIN)/python -m pytest -m slow

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m 'not ray and not assets and not slow'

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The engine's speed against Hugging Face's Trainer, interleaved.
bench: setup
	$(BIN)/python benchmarks/engine_throughput.py

# Sweeps of real processes, struck at random, resumed, and compared with the same left alone; ONLY=index plays one again.
TRAINER ?= synthetic
SEED ?= 0
N ?= $(or $(N_$(TRAINER)),12)
N_synthetic := 200
N_wire := 300

chaos: setup
	$(BIN)/python -m raysweep.testing.chaos --trainer $(TRAINER) --n $(N) --seed $(SEED) $(if $(ONLY),--only $(ONLY)) $(ARGS)

# What early stopping and the search are worth, on recorded learning curves.
bench-search: setup
	$(BIN)/python benchmarks/replay.py

# How good the winner is said to be, and how good it is, by simulation.
bench-winner: setup
	$(BIN)/python benchmarks/winner_simulation.py
	$(BIN)/python benchmarks/winner_simulation.py --model ratings

# Remote fine-tunes against a local server: a trial's memory, from a decision to the cancel, requests a job-hour.
bench-wire: setup
	$(BIN)/python benchmarks/wire_memory.py
	$(BIN)/python benchmarks/wire_cancel.py
	$(BIN)/python benchmarks/wire_requests.py --steps 40

# What raysweep takes for granted of Ray, on the oldest supported, the pinned and the newest; 0.7 GB of disk for each.
ray-contract: $(VENV)/.installed
	$(BIN)/python scripts/ray_contract.py

# Versions only: no hosts and no hashes, so that any registry and any build of torch will do.
lock: $(VENV)/.installed
	$(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools | sed 's/ @ .*//; s/+cpu$$//' | sort -f > requirements.lock

clean:
	rm -rf $(VENV) .venv-ray .pytest_cache .mypy_cache .ruff_cache
