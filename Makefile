# Every target does all the set-up that it needs; a machine with Python (venv and pip) and make is enough.
# Another interpreter: `make test PYTHON=python3.12`, which gets an environment of its own.

PYTHON ?= python3
VENV ?= .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

OLDEST_VENV ?= $(VENV)-oldest
OLDEST_BIN := $(OLDEST_VENV)/bin
OLDEST_STAMP := $(OLDEST_VENV)/.installed

PYTEST_ARGS ?=
# Chance goes the same way each time; `make oracle SEED=7`, or another target of tests, explores.
SEED ?=
export BEAM_OBS_SEED := $(SEED)
export PYTHONHASHSEED := $(or $(SEED),0)
# Some environments forbid it; each of the hundreds of Pythons that tests start would compile all modules anew.
export PYTHONDONTWRITEBYTECODE :=
# One more than two cores: tests wait for programs and servers that they start.
# Stealing keeps the tests of a file on one process, with what they share, but for the last ones.
IN_PARALLEL := --numprocesses 3 --dist worksteal
BENCH_ARGS ?=

.PHONY: help install demo demo-stream demo-schedule pictures pictures-of-runs templates image test test-slow test-pythons test-oldest engines engines-image test-engines test-soak flink-up flink-down test-browser conformance conformance-sample oracle lint \
        site format lock clean clean-cache full-year bench bench-stage bench-step bench-traces bench-trace-share bench-check bench-read bench-dead bench-dead-parts bench-dead-memory bench-formats \
        bench-weave bench-weave-memory bench-output-index bench-import bench-store bench-remote-store bench-pages bench-flights bench-answers bench-refusals bench-record-pages bench-instruments bench-watch bench-exporters bench-isolation bench-stream bench-cost soak

help:  ## what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1|/' | column -t -s '|'

install: $(STAMP)  ## set up the environment only

$(STAMP): requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)  ## the flights pipeline on January and on damaged files, with its report
	@$(BIN)/python -m pipelines.flights.demo

demo-stream: $(STAMP)  ## a minute of the flights as a stream over an installed Pub/Sub emulator, or files, with its report
	@$(BIN)/python -m pipelines.flights.demo_stream

demo-schedule: $(STAMP)  ## a conference's schedule before and after its site was redesigned
	@$(BIN)/python -m pipelines.schedule.demo

# Those of pages take an installed Chromium, some of them Prometheus; without these they stay as they are.
pictures: pictures-of-runs  ## the pictures of the documentation, made anew from the demo
	@$(BIN)/python -m tests.web.take_pictures docs
	@$(BIN)/python -m tests.engines.take_pictures docs

pictures-of-runs: $(STAMP)
	$(BIN)/python -m pipelines.flights.demo > /dev/null
	$(BIN)/beam-obs show latest --store demo-output/store --svg docs/report.svg
	$(BIN)/beam-obs graph latest --store demo-output/store --output docs/flights-graph.svg

# A change of a step's name, or of what crosses a shuffle, shows in steps.txt: a streaming job cannot be updated over it.
TEMPLATES := flights-batch flights-stream schedule
templates: $(STAMP)  ## what Dataflow is told of the templates, made anew from the programs, and the sizes of their graphs
	@for one in $(TEMPLATES); do \
	    echo "$$one" && \
	    $(BIN)/beam-obs template metadata templates/$$one --output templates/$$one/metadata.json && \
	    $(BIN)/beam-obs template spec templates/$$one --output templates/$$one/spec.json && \
	    $(BIN)/beam-obs template graph --steps --output templates/$$one/steps.txt templates/$$one && \
	    $(BIN)/beam-obs template graph templates/$$one || exit; done

# As root on Debian: apt installs what builds it. With an engine of containers: see templates/Dockerfile.
image: $(STAMP)  ## the image of the templates, built without network, and a worker of it started
	@$(PYTHON) -m tests.engines.image
	$(BIN)/python -m pytest -m engines -rsfE tests/engines/test_image.py $(PYTEST_ARGS)

# Those of a part of their own are left out by pyproject.toml, which an expression here takes the place of.
WITHOUT_OTHER_PARTS := not engines and not oracle and not browser
test: $(STAMP)  ## tests and doctests, but for those that take seconds each
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "not slow and $(WITHOUT_OTHER_PARTS)" $(PYTEST_ARGS)

test-slow: $(STAMP)  ## those that take seconds each
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "slow and $(WITHOUT_OTHER_PARTS)" $(PYTEST_ARGS)

test-pythons: $(STAMP)  ## a part of the tests on each other Python that is declared and installed
	$(BIN)/python -m tests.other_pythons $(IN_PARALLEL) $(PYTEST_ARGS)

# The lowest Beam release that pyproject.toml declares, and what it pins itself.
$(OLDEST_STAMP): requirements-oldest.lock pyproject.toml
	$(PYTHON) -m venv $(OLDEST_VENV)
	$(OLDEST_BIN)/python -m pip install --quiet --requirement requirements-oldest.lock
	$(OLDEST_BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Of the tests those that the Beam release decides on: what is woven, wrapped, read, written, counted and kept while it runs.
# Rooms that import no Beam, questions to a store, programs, pictures, deployments and texts are the same on any; doctests ran as
# `make test` did. What tests keep of Beam's answers (tests/quick_beam.py) is held against those of this release too; asking anew takes
# more than twice the time, and programs that tests start do.
WITHOUT_BEAM := alerts benchmarks cli conformance dataflow deploy examples exporters files io/lines lineage logs metrics pipelines records \
    replay reports store stores testing typing web test_continuous_integration.py test_dataflow_server.py test_dependencies.py \
    test_distribution.py test_docs.py test_docstrings.py test_documentation.py test_extras.py test_pictures.py test_reference.py \
    test_rooms.py test_samples.py
test-oldest: $(OLDEST_STAMP)  ## the tests that run Beam, on the oldest release that is supported
	$(OLDEST_BIN)/python -m pytest tests $(IN_PARALLEL) $(WITHOUT_BEAM:%=--ignore=tests/%) \
	    -m "not slow and $(WITHOUT_OTHER_PARTS)" $(PYTEST_ARGS)

# Prism, of the release that the tests run on, a server of gs:// and an OpenTelemetry Collector take an installed Go; Flink takes
# Maven and Java, StatsD npm.
engines:  ## installs what tests on real engines need into ~/.cache/beam_obs, once for all clones
	@$(PYTHON) -m tests.engines.install

# The same for the image, where it can be built; tests on it say what is missing.
engines-image:
	@$(PYTHON) -m tests.engines.image --where-possible

test-engines: $(STAMP) engines  ## tests on Prism, a Flink cluster, servers of S3 and gs://, of OTLP and StatsD, Debian's Prometheus, and an installed Pub/Sub emulator
	$(BIN)/python -m pytest -m "engines and not soak" -rsfE tests $(PYTEST_ARGS)

# At its own pace beside others: it is the clock that takes the time.
test-soak: $(STAMP) engines  ## five minutes of a stream with faults on Prism
	nice $(BIN)/python -m pytest -m soak -rsfE tests/engines/test_soak.py $(PYTEST_ARGS)

# It needs Java, and the rights to give each task manager a name space of its own (root).
flink-up: $(STAMP) engines  ## a Flink cluster of two task managers on this machine, and the options that a pipeline runs on it with
	@$(BIN)/python -m tests.engines.flink.local up

flink-down: $(STAMP)  ## ends it
	@$(BIN)/python -m tests.engines.flink.local down

# Where apt can, it installs Chromium; elsewhere the tests that miss it say what would.
test-browser: $(STAMP)  ## tests of the pages in a real browser
	@$(BIN)/python -m tests.web.install_browser
	$(BIN)/python -m pytest -m browser -rsfE tests/web tests/test_pictures.py $(PYTEST_ARGS)

conformance: $(STAMP)  ## Beam's own tests, woven against bare, module by module
	$(BIN)/python -m tests.conformance.run --jobs 2 $(CONFORMANCE_ARGS)

# What they give bare is on file; `make conformance CONFORMANCE_ARGS=--write-expected` notes it anew.
conformance-sample: $(STAMP)  ## the same without the bare runs and most variants
	$(BIN)/python -m tests.conformance.run --jobs 2 --expected --sample $(CONFORMANCE_ARGS)

oracle: $(STAMP)  ## lineage of random pipelines whose values know their own
	$(BIN)/python -m pytest $(IN_PARALLEL) -m oracle -rP --show-capture=stdout --disable-warnings tests/weaving $(PYTEST_ARGS)

lint: $(STAMP)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

site: $(STAMP)  ## the documentation as a site, in build/site, with the reference from the docstrings
	$(BIN)/python -m sphinx -q -W --keep-going --builder html docs build/site
	@echo "build/site/index.html"

format: $(STAMP)  ## rewrites the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: bench-stage bench-step bench-start bench-instruments bench-logs bench-traces bench-trace-share bench-check bench-read bench-output-index bench-dead bench-dead-parts bench-dead-memory bench-import bench-store bench-remote-store bench-pages bench-answers bench-refusals bench-record-pages bench-flights bench-watch bench-exporters bench-isolation bench-cost bench-stream  ## every benchmark

bench-stage: $(STAMP)  ## cost of a Stage per element, beside Beam's exception handling and asgarde
	$(BIN)/python -m benchmarks.stage $(BENCH_ARGS)

bench-step: $(STAMP)  ## the same of one step in a loop, without a pipeline, with lineage too
	$(BIN)/python -m benchmarks.step $(BENCH_ARGS)

bench-start: $(STAMP)  ## what observation adds to the start of a run, in a warm process and in a fresh one
	$(BIN)/python -m benchmarks.start $(BENCH_ARGS)

bench-instruments: $(STAMP)  ## cost of an update of a counter and of a histogram, beside Beam's
	$(BIN)/python -m benchmarks.instruments $(BENCH_ARGS)

bench-logs: $(STAMP)  ## cost of what a log record of user code says
	$(BIN)/python -m benchmarks.logs $(BENCH_ARGS)

bench-traces: full-year  ## cost of traces: an element that is not sampled, a span, a run, flights
	$(BIN)/python -m benchmarks.traces $(BENCH_ARGS)

bench-trace-share: full-year  ## what share of a year of flights traces take, looked at from outside
	$(BIN)/python -m benchmarks.trace_share $(BENCH_ARGS)

bench-dead: $(STAMP)  ## cost of dead letters when one record in ten is bad
	$(BIN)/python -m benchmarks.dead $(BENCH_ARGS)

bench-dead-parts: $(STAMP)  ## cost of the parts of a dead letter, each by itself
	$(BIN)/python -m benchmarks.dead_parts $(BENCH_ARGS)

bench-dead-memory: $(STAMP)  ## peak memory of a million dead letters
	$(BIN)/python -m benchmarks.dead_memory $(BENCH_ARGS)

bench-check: $(STAMP)  ## cost of a Check of ten assumptions
	$(BIN)/python -m benchmarks.check $(BENCH_ARGS)

bench-read: $(STAMP)  ## reading text and CSV, beside Beam's reader and csv by hand
	$(BIN)/python -m benchmarks.read $(BENCH_ARGS)

bench-formats: $(STAMP)  ## reading JSON, Avro and Parquet, beside Beam's readers
	$(BIN)/python -m benchmarks.formats $(BENCH_ARGS)

bench-weave: $(STAMP)  ## cost of lineage, woven against bare
	$(BIN)/python -m benchmarks.weave $(BENCH_ARGS)

bench-output-index: $(STAMP)  ## what the output index takes for a record, beside json
	$(BIN)/python -m benchmarks.output_index $(BENCH_ARGS)

bench-weave-memory: $(STAMP)  ## peak memory of a GroupByKey of a million pairs, woven against bare
	$(BIN)/python -m benchmarks.weave_memory $(BENCH_ARGS)

bench-import: $(STAMP)  ## time that `import beam_obs` adds
	$(BIN)/python -m benchmarks.import_time $(BENCH_ARGS)

bench-store: $(STAMP)  ## time that each command takes on a store of 1,000 runs
	$(BIN)/python -m benchmarks.store $(BENCH_ARGS)

bench-remote-store: $(STAMP)  ## the same on a store of 100 runs in S3, a server of this machine
	$(BIN)/python -m benchmarks.remote_store $(BENCH_ARGS)

bench-pages: $(STAMP)  ## time that each page takes on a store of 1,000 runs, from a new server and again
	$(BIN)/python -m benchmarks.pages $(BENCH_ARGS)

bench-refusals: $(STAMP)  ## time of commands, cold, on a run with a million dead letters
	$(BIN)/python -m benchmarks.refusals $(BENCH_ARGS)

bench-answers: $(STAMP)  ## time of answers about lineage, cold, on a run of a million records
	$(BIN)/python -m benchmarks.answers $(BENCH_ARGS)

bench-record-pages: $(STAMP)  ## time of pages of records and dead letters, a million of each
	$(BIN)/python -m benchmarks.record_pages $(BENCH_ARGS)

bench-isolation: $(STAMP)  ## time that a record takes to a process of its own and back
	$(BIN)/python -m benchmarks.isolation

bench-flights: full-year  ## a year of flights end to end, bare and observed
	$(BIN)/python -m benchmarks.flights $(BENCH_ARGS)

bench-watch: full-year  ## CPU that watching a run takes of it
	$(BIN)/python -m benchmarks.watch $(BENCH_ARGS)

bench-exporters: full-year  ## CPU and memory that exporting numbers takes
	$(BIN)/python -m benchmarks.exporters $(BENCH_ARGS)

# Of 10^7 records, which takes long and the memory of a shuffle: `make bench-cost BENCH_ARGS="10000 100000 1000000 10000000"`.
bench-cost: $(STAMP)  ## what observation adds to CPU, shuffles and store as an input grows
	$(BIN)/python -m benchmarks.cost $(BENCH_ARGS)

bench-stream: $(STAMP)  ## the rate that a stream sustains on Prism, bare and observed side by side
	$(BIN)/python -m benchmarks.stream $(BENCH_ARGS)

# `make soak BENCH_ARGS="--minutes 5"` for less; the tests on engines have a form of less than a minute.
soak: $(STAMP)  ## an hour of a stream on Prism, with faults: memory stays flat, the ledger holds
	$(BIN)/python -m benchmarks.soak $(BENCH_ARGS)

full-year: $(STAMP)  ## fetches the full year of flights (336,776 records)
	$(BIN)/python -m pipelines.flights.fetch_full_year

LOWEST_BEAM = $(shell sed -nE 's/^ *"apache-beam>=([0-9.]+),.*/\1/p' pyproject.toml)
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --extra dev --no-header --no-annotate \
    --no-emit-index-url --no-emit-find-links --upgrade

# Of the templates' image, each file by its hash.
COMPILE_IMAGE = $(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --extra gcp --extra otel --extra pipelines --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade

lock: $(STAMP)  ## resolves the development versions anew, for all supported Pythons
	$(COMPILE) --output-file requirements-dev.lock pyproject.toml
	echo "apache-beam==$(LOWEST_BEAM)" | $(COMPILE) --constraint - --output-file requirements-oldest.lock pyproject.toml
	$(COMPILE_IMAGE) --constraint requirements-dev.lock --output-file templates/requirements.lock pyproject.toml

clean:  ## removes environments and outputs of this clone
	rm -rf .venv .venv-* .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .beam_obs build dist \
	    demo-output *.egg-info pipelines/flights/full_year
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

clean-cache:  ## removes the engines in ~/.cache/beam_obs, which every clone uses
	$(PYTHON) -m tests.engines.install --remove
