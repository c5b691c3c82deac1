# make run     see it work: a private Postfix, filter, tracker and store on loopback (root or sudo)
#              make run STORE=cassandra: the events go to a real Cassandra
# make test    install what the tests need, check and test everything
# make help    the rest

PYTHON ?= $(shell .ci/python)
RUN_DIR ?= .run
PORT_SMTP ?= 2525
PORT_HTTP ?= 8080
PORT_HOP ?=
PORT_WEB ?= 8090
STORE ?= sqlite
PORT_CASSANDRA ?= 9142
PYTEST_ARGS ?=
TEST_JOBS ?= 2
export PYTHON RUN_DIR PORT_SMTP PORT_HTTP PORT_HOP PORT_WEB STORE PORT_CASSANDRA
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore

BIN := .venv/bin
C_SOURCES := engagement/links/_open.c engagement/links/_seal.c \
  milter/smtpapi/find/_walk.c milter/smtpapi/mime/_quoted_printable.c
PIP := $(BIN)/python -m pip install -q --use-pep517 -c requirements.lock

.DEFAULT_GOAL := help
.PHONY: help run test test-3.14 python3.14 faults sanitize packages venv system system-run check lint format types imports unused spelling warnings docs languages pictures peers lock clean root version

help:  ## these lines
	@sed -n 's/^\([a-z0-9.-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

run: root system-run venv  ## start everything on loopback and show a tracked newsletter; Ctrl-C stops it
	@exec $(BIN)/python -m demo.run

root:
	@[ "$$(id -u)" = 0 ] || { echo "make run needs root, as Postfix does: use 'sudo make run'" >&2; exit 1; }

test: system venv python3.14 check  ## install what is missing, then all checks and all tests
	@PYTHONHASHSEED=$${PYTHONHASHSEED:-$$(date +%s)} $(BIN)/python -m pytest -q -m "not long" -n $(TEST_JOBS) --dist loadscope $(PYTEST_ARGS)

faults: system venv  ## the long runs of faults; FAULT_KILLS, TRACKER_KILLS, SHIPPER_KILLS, FAULT_MINUTES: docs/reliability.md
	@$(BIN)/python -m pytest -q -s -p no:randomly -m long tests/faults tests/contract

python3.14: venv
	@.ci/python3.14

test-3.14: system venv  ## unit, golden and property tests with CPython 3.14, in an environment of its own below .test
	@.ci/venv_3.14
	@# From 3.13 on SQLite's module warns of what tests leave open.
	@.test/venv3.14/bin/python -m pytest -q -p no:cacheprovider -W ignore::ResourceWarning $(or $(PYTEST_ARGS),tests/unit tests/golden tests/properties)

sanitize: venv  ## the tests of the parts in C, watched by AddressSanitizer and UndefinedBehaviorSanitizer
	@$(BIN)/python tests/sanitized.py

packages: venv  ## wheels, sdist, .deb and .rpm into dist/, for each CPython that is here (docs/install.md)
	@$(BIN)/python packaging/make_packages.py

venv: .venv/stamp  ## prepare .venv with the program and what develops it

.venv/stamp: requirements-dev.txt requirements.lock pyproject.toml setup.cfg setup.py $(C_SOURCES) | version
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@echo "Preparing .venv"
	@$(PIP) -r requirements-dev.txt -e '.[all]'
	@touch $@

version:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with make PYTHON=…" >&2; exit 1; }

system:  ## Debian packages the tests need
	@.ci/system test
	@.ci/sendmail
	@.ci/promtool
	@.ci/readers
	@.ci/axe
	@.ci/go_client
	@.ci/debian
	@.ci/sparkpost_node
	@.ci/sparkpost_go

system-run:  ## Debian packages `make run` needs
	@.ci/system run

check: lint types imports unused spelling warnings  ## lint, types, import contracts, unused code, spelling, C's warnings

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .
	$(BIN)/clang-format --dry-run -Werror $(C_SOURCES)

format:  ## lay the code out
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(C_SOURCES)

types:
	$(BIN)/mypy
	$(BIN)/mypy --config-file mypy-workshop.ini

imports:
	$(BIN)/lint-imports

unused:
	$(BIN)/vulture

spelling:
	$(BIN)/codespell

warnings:
	@include=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	for source in $(C_SOURCES); do \
	  $(CC) -std=c11 -O2 -Wall -Wextra -Wconversion -Werror -isystem "$$include" -c -o /dev/null $$source || exit 1; \
	done

docs:  ## write the sample configuration and the reference pages from the code
	$(BIN)/python -m engagement.settings.explain sample > etc/smtpapi.conf
	$(BIN)/python -m engagement.settings.explain reference > docs/settings.md
	$(BIN)/python -m smtpapi.commands.configuration.reference > docs/commands.md

languages:  ## bring the catalogues of translations in step with the sources
	@PYTHONPATH=milter:.:tests $(BIN)/python tests/languages/catalogues.py

pictures: venv  ## make the pictures of docs/pages.md; needs Chromium
	@PYTHONPATH=milter:.:tests $(BIN)/python -m web.pictures

peers: venv  ## beside other ways to do it: tables and plots into docs/performance.md (SPARKY=DIR, MAILS=DIR; bench/peers)
	@$(BIN)/python -m pip install -q pytracking matplotlib
	@$(BIN)/python -m bench.peers --docs docs $(if $(SPARKY),--sparky $(SPARKY)) $(foreach each,$(MAILS),--mails $(each))

lock:  ## write requirements.lock from what .venv holds; make it with the oldest Python served, Debian 12's 3.11.2
	$(BIN)/python -m pip freeze --exclude-editable > requirements.lock

clean:  ## remove what make run and make test made (the demonstration must not be running)
	@rm -rf $(RUN_DIR) .test build dist .coverage .coverage.* .hypothesis
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache engagement/links/*.so milter/smtpapi/find/*.so milter/smtpapi/mime/*.so
	@find . -name .venv -prune -o \( -name __pycache__ -o -name '*.egg-info' \) -print0 | xargs -0 rm -rf
