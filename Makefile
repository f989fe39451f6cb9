# `make demo` and `make test` are all that a fresh clone needs; `make help` lists the rest.

PYTHON ?= python3
VENV   ?= .venv
SOURCES = streams models monitor tests

# Tests in parallel: what runs in one process says tests/scheduling.py. A process computes on one thread.
PARALLEL = -n auto --dist loadgroup --no-loadscope-reorder
test test-fast: export OMP_NUM_THREADS = 1

# Each stamp says that an installation is done, and is older than what it depends on when it must be redone.
DEMO_STAMP = $(VENV)/.installed-demo
DEV_STAMP  = $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-faults test-cameras test-browser test-review fuzz lint types check generated bench bench-review evaluate evaluate-alerts evaluate-expectancy evaluate-recordings evaluate-pedestrians evaluate-challenges calibration clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEMO_STAMP) ## watch two streams live, about two minutes; needs neither Kafka nor torch
	$(VENV)/bin/gradwatch demo

test: $(DEV_STAMP) ## run all tests, several at a time; a quarter of an hour on two cores
	$(VENV)/bin/pytest $(PARALLEL)

test-fast: $(DEV_STAMP) ## run the tests that need no broker, browser or database; a few minutes on two cores
	$(VENV)/bin/pytest $(PARALLEL) -m "not service and not slow and not faults"

test-faults: $(DEV_STAMP) ## break a real Apache Kafka (KAFKA_HOME); up to an hour, resumable; QUICK=1 short, AGAIN=1 anew
	GRADWATCH_FAULTS_QUICK=$(QUICK) GRADWATCH_FAULTS_AGAIN=$(AGAIN) $(VENV)/bin/pytest -m faults tests/faults
	$(VENV)/bin/gradwatch evaluate faults

test-cameras: $(DEV_STAMP) ## break live cameras: needs KAFKA_HOME and GStreamer's RTSP server (CONTRIBUTING.md); 20 minutes on a calm machine
	$(VENV)/bin/pytest -m faults tests/live_cameras
	$(VENV)/bin/gradwatch evaluate cameras

test-browser: $(DEV_STAMP) ## the review page in a real Chromium, long forms too
	$(VENV)/bin/pytest tests/browser -m "storm or not storm"

test-review: $(DEV_STAMP) ## kill the review and evidence services, ask the API everything; 6 minutes
	$(VENV)/bin/pytest -m faults tests/monitor/review tests/monitor/evidence

fuzz: $(DEV_STAMP) ## fuzz the readers of strangers' bytes, 3 minutes each; needs atheris (Linux x86-64)
	$(VENV)/bin/python -m tests.fuzz.seed_corpus runs/fuzz
	$(VENV)/bin/python tests/fuzz/fuzz_codec.py -max_total_time=180 -artifact_prefix=runs/fuzz/ runs/fuzz/codec
	$(VENV)/bin/python tests/fuzz/fuzz_curetsd.py -max_total_time=180 -artifact_prefix=runs/fuzz/ runs/fuzz/curetsd

lint: $(DEV_STAMP) ## check style and formatting
	$(VENV)/bin/ruff check $(SOURCES)
	$(VENV)/bin/ruff format --check $(SOURCES)

types: $(DEV_STAMP) ## check types
	$(VENV)/bin/mypy

check: lint types test ## lint, types and test: what CI runs

generated: $(DEV_STAMP) ## write the checked-in files that are made from the code: schemas, the list of metrics
	$(VENV)/bin/python -m tests.generated

bench: $(DEV_STAMP) ## what the monitor costs beside the networks it watches
	$(VENV)/bin/gradwatch bench --json docs/benchmarks/bench.json --markdown docs/benchmarks/bench.md

bench-review: $(DEV_STAMP) ## the review page's server with 10,000 alerts; DATABASE_URL=postgresql://… measures an empty one too
	$(VENV)/bin/gradwatch review bench --database sqlite:///$$(mktemp -d)/review.db $(if $(DATABASE_URL),--database $(DATABASE_URL)) \
	  --json docs/benchmarks/review.json --markdown docs/benchmarks/review.md

evaluate-alerts: $(DEV_STAMP) ## false alarms and delays on synthetic drives; up to 45 minutes, resumable
	$(VENV)/bin/gradwatch evaluate alerts

evaluate-expectancy: $(DEV_STAMP) ## signs whose class is swapped in mid-track
	$(VENV)/bin/gradwatch evaluate expectancy

evaluate-recordings: $(DEV_STAMP) ## real recordings through the broker; needs the development data
	$(VENV)/bin/gradwatch evaluate recordings

evaluate-pedestrians: $(DEV_STAMP) ## people in a real recording; needs the development data
	$(VENV)/bin/gradwatch evaluate pedestrians

evaluate-challenges: $(DEV_STAMP) ## our challenges beside CURE-TSD's published ones; needs the development data
	$(VENV)/bin/gradwatch evaluate challenges

evaluate: evaluate-alerts evaluate-expectancy evaluate-recordings evaluate-pedestrians evaluate-challenges ## all evaluations, one after the other

calibration: $(DEV_STAMP) ## make the shipped calibration of the synthetic drives anew
	$(VENV)/bin/gradwatch evaluate calibration

clean: ## remove the virtual environment, runs and caches
	rm -rf $(VENV) runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# A half-made environment (python3-venv missing on Debian, say) is removed, else the next try would take it for whole.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	  "gradwatch needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(DEMO_STAMP): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[cpu,demo,review,evidence]'
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[cpu,demo,review,postgresql,evidence,bags,instrument,train,dev]'
	@touch $(DEMO_STAMP) $@
