# Everything runs from here; `make help` lists the targets. Each target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXPERIMENT ?= simulator
RUNS ?= runs/$(EXPERIMENT)/default
OVERRIDES ?=
SYSTEMS ?= ours imu_only
SEEDS ?= 0
PARKINSONS ?= ego4d_to_parkinsons
VIDEO ?= trained
FAULTS ?= 1000
INPUTS ?= 1000000
ATHERIS ?= 0
SEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help setup shards features pretrain eval-ood splits compare paper paper-tables tensorboard bench bench-full test test-slow \
  test-all soak coverage lint format hooks lock sbom audit clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo '  EXPERIMENT=utd_mhad picks experiments/configs/utd_mhad.yaml, OVERRIDES="key=value ..." changes settings'

setup: $(VENV)/.installed ## install everything into .venv (uv is fetched into it where it is missing)

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "make setup: $(PYTHON) is $$($(PYTHON) --version 2>&1), Python 3.10 or later is needed; try make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "make setup: no venv; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@echo "installing the locked packages into $(VENV) (several GB the first time) ..."
	@UV=$$(command -v uv || echo $(BIN)/uv); \
	  $$UV pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements.lock && \
	  $$UV pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

shards: setup ## build an experiment's shards only
	$(BIN)/python -m experiments.build_shards $(EXPERIMENT) $(OVERRIDES)

features: setup ## compute and check the video encoder's features, which pretrain would else do first
	$(BIN)/python -m experiments.features $(EXPERIMENT) $(OVERRIDES)

pretrain: setup ## shards, video encoder, features, then contrastive pretraining
	$(BIN)/python -m experiments.pretrain $(EXPERIMENT) $(OVERRIDES)

eval-ood: setup ## evaluate the pretrained encoder out of distribution
	$(BIN)/python -m experiments.eval_ood $(EXPERIMENT) $(OVERRIDES)

splits: setup ## write the split files of an experiment into docs/splits
	$(BIN)/python -m experiments.split_files $(EXPERIMENT) $(OVERRIDES)

compare: setup ## train and evaluate several systems: SYSTEMS="ours imu2clip" SEEDS="0 1"
	$(BIN)/python -m experiments.compare $(EXPERIMENT) $(OVERRIDES) --systems "$(SYSTEMS)" --seeds "$(SEEDS)"

paper: setup ## the paper's experiments and Tables 3 to 5; says first which data and weights are missing
	$(BIN)/python -m experiments.reproduce_paper $(OVERRIDES) --parkinsons "$(PARKINSONS)" --video "$(VIDEO)" --seeds "$(SEEDS)" \
	  $(if $(VIDEOMAE),--videomae "$(VIDEOMAE)") $(if $(CLIP),--clip "$(CLIP)")

paper-tables: setup ## the paper's tables from finished evaluations: RUNS="runs/a/default ..."
	$(BIN)/python -m experiments.paper_tables $(RUNS)

tensorboard: setup ## look at all runs in a browser
	$(BIN)/tensorboard --logdir runs

.PHONY: docs
docs: setup ## the documentation site, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: setup .venv-bench/.installed ## reading against LitData, MosaicML Streaming, WebDataset and the paper's way
	$(BIN)/python -m benchmarks.bench

bench-full: setup .venv-bench/.installed ## the same, and from 1 k to 1 M windows with peak memory
	$(BIN)/python -m benchmarks.bench --full

.venv-bench/.installed: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv .venv-bench
	@echo "installing the peers into .venv-bench ..."
	@UV=$$(command -v uv || echo $(BIN)/uv); \
	  $$UV pip install --quiet --python .venv-bench/bin/python --requirement benchmarks/requirements-peers.txt
	@touch $@

# A worker for each core, and one thread in each.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

test: setup ## the tests, in about 5 minutes on 2 cores
	$(PYTEST) -m "not slow" -n auto --dist loadfile

test-slow: setup ## the long tests only, one after the other: some measure time and memory
	$(PYTEST) -m slow

test-all: test test-slow ## all tests

soak: setup ## 1,000 faults, then 1,000,000 mutated files: FAULTS=200 INPUTS=100000 ATHERIS=60 SEED=1
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m helpers.faults.soak --faults $(FAULTS) --seed $(SEED)
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m helpers.fuzz.run --inputs $(INPUTS) --seed $(SEED) --atheris $(ATHERIS)

coverage: setup ## which share of the code the tests run, room by room
	$(PYTEST) -m "not slow" -n auto --dist loadfile --cov --cov-report=
	$(BIN)/python tests/helpers/coverage_by_room.py

lint: setup ## all hooks on all files: ruff, mypy --strict, deptry, and checks of files
	$(BIN)/pre-commit run --all-files

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: setup ## run the checks of make lint before each commit, on what it changes
	$(BIN)/pre-commit install

lock: setup ## lock what pyproject.toml asks for, other versions stay; UPGRADE=1 takes the newest of all
	@UV=$$(command -v uv || echo $(BIN)/uv); \
	  $$UV pip compile --quiet --universal --python-version 3.10 --extra dev --extra docs --generate-hashes \
	  --no-emit-index-url --no-header $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements.lock

sbom: setup ## the licences of the locked packages and a bill of materials, into docs/
	PYTHONPATH=tests $(BIN)/python -m helpers.sbom

audit: setup ## known vulnerabilities of the locked packages; exit code 3 where the database can't be reached
	PYTHONPATH=tests $(BIN)/python -m helpers.audit

clean: ## remove the environment; data/ and runs/ stay
	rm -rf $(VENV) build *.egg-info
