# make run    sets everything up and runs the whole pipeline
# make help   lists the other targets

# The oldest uv known to read uv.lock, and the version to fetch if there is none.
UV_OLDEST := 0.9.0
UV_PINNED := 0.13.9

# What the user has set for Python, pip and uv is for other projects, unless it says where packages
# come from.
SOURCES := %_INDEX %_INDEX_URL UV_INDEX_% UV_DEFAULT_INDEX PIP_FIND_LINKS UV_FIND_LINKS \
	PIP_CONFIG_FILE UV_CONFIG_FILE %_CACHE_DIR %_OFFLINE %_TIMEOUT %_RETRIES PIP_PROXY PIP_CERT \
	PIP_CLIENT_CERT PIP_TRUSTED_HOST UV_INSECURE_HOST %_NATIVE_TLS %_SYSTEM_CERTS %_KEYRING_PROVIDER
unexport VIRTUAL_ENV CONDA_PREFIX \
	$(filter-out $(SOURCES),$(filter PIP_% PYTHON% UV_%,$(.VARIABLES)))

# A uv on the PATH may be too old, or a pyenv shim that only complains.
UV := $(shell v=$$(uv --version 2>/dev/null | cut -d ' ' -f 2); \
	[ -n "$$v" ] && printf '%s\n' $(UV_OLDEST) "$$v" | sort -CV && command -v uv || echo .uv/bin/uv)

# The first Python 3.11 on the PATH.
PYTHON := $(shell for p in python3.11 python3 python; do \
	$$p -I -c 'import sys; print(sys.executable) if sys.version_info[:2] == (3, 11) else sys.exit(1)' \
	2>/dev/null && break; done)

# Passed through the environment, so that paths may contain spaces and quotes.
export DATA TRANCHES OUT WEIGHTS CONFIG

.PHONY: help run cluster-run test test-cluster test-robustness setup check clean

help:
	@echo 'make run [DATA=FOLDER] [OUT=output] [WEIGHTS=imagenet|none|FILE.h5] [CONFIG=FILE.toml]'
	@echo '            run the whole pipeline; without DATA, on demo tranches that it draws'
	@echo 'make run TRANCHES=4   the same with a new demo tranche (3 by default)'
	@echo 'make cluster-run [the same]   submit it as a Slurm job; [cluster] in CONFIG says where'
	@echo 'make test   run the tests, except those marked slow, cluster or robustness_full'
	@echo 'make test-robustness  run every test of docs/reliability.md that is in tests/robustness'
	@echo 'make test-cluster  run the tests on a Slurm cluster of network namespaces (root, Debian)'
	@echo 'make check  run ruff, mypy and import-linter'
	@echo 'make setup  only install the environment, as the other targets do when it is missing or old'
	@echo 'make clean  remove the environment and caches; OUT stays'
	@echo 'The console command is .venv/bin/lookdeep, or uv run lookdeep.'

run: setup
	@.venv/bin/python local_runner.py $${DATA:+--data-root "$$DATA"} \
		$${TRANCHES:+--demo-tranches "$$TRANCHES"} $${OUT:+--output-root "$$OUT"} \
		$${WEIGHTS:+--base-weights "$$WEIGHTS"} $${CONFIG:+--config "$$CONFIG"}

cluster-run: setup
	@.venv/bin/python cluster_runner.py submit $${DATA:+--data-root "$$DATA"} \
		$${TRANCHES:+--demo-tranches "$$TRANCHES"} $${OUT:+--output-root "$$OUT"} \
		$${WEIGHTS:+--base-weights "$$WEIGHTS"} $${CONFIG:+--config "$$CONFIG"}

test-cluster: setup
	.ci/cluster

# Two at once: most wait for one core, or for the imports of another process. The tests of a file
# stay together and share what it has prepared.
test: setup
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
		-m 'not slow and not cluster and not robustness_full'

test-robustness: setup
	.venv/bin/python -m pytest tests/robustness

check: setup
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

setup: .venv/.synced

.venv/.synced: pyproject.toml uv.lock setup.py | $(UV)
	@test -n '$(PYTHON)' || { echo 'There is no Python 3.11 on the PATH; install it first' \
		'(Debian: apt install python3.11 python3.11-venv).' >&2; exit 1; }
	@echo 'Installing the locked environment into .venv: TensorFlow Extended and what it needs,'
	@echo '3 GB. The first time this takes from half a minute to a few minutes.'
	@UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never \
		$(UV) sync --locked $$([ -t 2 ] || echo --quiet) --python '$(PYTHON)'
	@touch $@

.uv/bin/uv:
	@test -n '$(PYTHON)' || { echo 'There is no Python 3.11 on the PATH; install it first' \
		'(Debian: apt install python3.11 python3.11-venv).' >&2; exit 1; }
	@echo 'Fetching uv $(UV_PINNED) into .uv, since there is no usable one on the PATH.'
	@'$(PYTHON)' -c 'import ensurepip' 2>/dev/null || { echo 'This Python comes without' \
		'ensurepip; install it (Debian: apt install python3.11-venv), or install uv.' >&2; exit 1; }
	@'$(PYTHON)' -m venv --clear .uv
	@.uv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps \
		--only-binary :all: --dest .uv uv==$(UV_PINNED)
	@# Without any settings: pip's own may say `user` or `target`, which no option takes back.
	@PIP_CONFIG_FILE=/dev/null .uv/bin/python -m pip --isolated install --quiet \
		--disable-pip-version-check --no-index .uv/uv-*.whl

clean:
	rm -rf .venv .uv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
