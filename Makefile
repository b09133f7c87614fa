# Two commands are all a newcomer needs: `make demo` and `make test`. Both set up what they need by themselves.
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH):/usr/sbin

.PHONY: demo test hunt test-cuts test-brokers test-clients test-alerts test-rabbit4 test-api deb test-deb test-aws test-vm bench-vm campaign lint types bench lock clean

demo:
	@scripts/setup.sh demo
	@$(BIN)/standfast demo

test:
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory lint types
	$(BIN)/pytest -n 2 --dist worksteal --ignore tests/real --ignore tests/deploy/hosts --ignore tests/fuzz --ignore tests/vm
	$(BIN)/pytest -n 2 --dist loadfile tests/real --ignore tests/real/cuts --ignore tests/real/brokers --ignore tests/real/clients --ignore tests/real/alerts --ignore tests/real/debian13
	scripts/rooted.sh $(BIN)/pytest tests/real/cuts/test_three_members.py

# Every planted bug, also those that the simulator finds only after many seeds.
hunt:
	@scripts/setup.sh test
	STANDFAST_HUNT=all $(BIN)/pytest -n 2 --dist worksteal tests/sim/test_sabotage.py tests/sim/test_replicas.py tests/sim/test_fencing.py tests/sim/test_groups.py

# All real cuts, also those of five members and the rolling patch, with links that flap for a minute.
test-cuts:
	@scripts/setup.sh test
	STANDFAST_FLAPPING_S=60 scripts/rooted.sh $(BIN)/pytest tests/real/cuts

# The Debian package, for the Python of this machine: dist/standfast_VERSION_ARCHITECTURE.deb.
deb:
	@scripts/deb.sh

# The package and its unit on three machines of their own, with systemd, brought up as docs/install.md says. Needs root.
test-deb:
	@scripts/setup.sh test
	@scripts/setup.sh hosts
	$(BIN)/pytest -x tests/deploy/hosts/test_hosts.py

# The user data of the AWS templates on machines with systemd, in an AWS that runs here: joined, replaced, failed over.
test-aws:
	@scripts/setup.sh test
	@scripts/setup.sh hosts
	$(BIN)/pytest -x tests/deploy/hosts/test_user_data.py

# The brokers that start for seconds: the whole driver suite, and each in a cluster through kills, node death and moves.
test-brokers:
	@scripts/setup.sh test
	STANDFAST_BROKERS=all $(BIN)/pytest tests/managers/test_driver_suite.py
	$(BIN)/pytest tests/real/brokers

# The examples for clients of each protocol, through a takeover of a real cluster.
test-clients:
	@scripts/setup.sh test
	@scripts/setup.sh clients
	$(BIN)/pytest tests/real/clients

# Sinks of events: RabbitMQ, a cluster without a majority, takeovers with sinks that fail at random.
test-alerts:
	@scripts/setup.sh test
	$(BIN)/pytest tests/alerts tests/real/test_alerts.py tests/real/alerts

# RabbitMQ 4 with its own AMQP 1.0 as a sink, through takeovers; in a root of Debian 13 that is made once. Needs root.
test-rabbit4:
	@scripts/setup.sh test
	@scripts/setup.sh rabbit4
	$(BIN)/pytest -x tests/real/debian13

# The API against schemathesis, a minute for each right (STANDFAST_FUZZ_S), after its other tests.
test-api:
	@scripts/setup.sh test
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	$(BIN)/pytest tests/api tests/real/api tests/fuzz

# Small machines with kernels of their own: NFS, DRBD, the watchdog, power cuts. Needs root; see docs/vm-tests.md.
test-vm:
	@scripts/setup.sh test
	@scripts/setup.sh vm
	$(BIN)/pytest --durations=0 --durations-min=1 tests/vm

# Figures of replicated storage on such machines, with medians.
bench-vm:
	@scripts/setup.sh test
	@scripts/setup.sh vm
	$(BIN)/python -m tests.vm.measure

# Thousands of simulated hours, on a compiled copy of the core: HOURS=2000, over two processes.
HOURS ?= 2000
campaign:
	@scripts/setup.sh test
	@scripts/setup.sh compiled
	@$(BIN)/python bench/compiled.py bench/campaign.py --hours $(HOURS)

lint:
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# The benchmarks lean on helpers of the tests, which have no types.
types:
	$(BIN)/mypy
	MYPYPATH=bench $(BIN)/mypy --allow-untyped-calls --allow-untyped-defs --allow-incomplete-defs --allow-any-generics \
	    --follow-imports silent bench/*.py

bench:
	@scripts/setup.sh test
	@$(BIN)/python bench/run.py

# Resolve pyproject.toml anew into versions with hashes.
lock:
	$(BIN)/python -m pip install -q pip-tools
	$(BIN)/pip-compile -q --upgrade --generate-hashes --no-emit-index-url --no-emit-trusted-host \
	    --no-emit-find-links --no-emit-options --allow-unsafe --strip-extras --no-header --extra alerts --extra aws --extra drill --extra dev \
	    -o requirements/all.txt pyproject.toml
	$(BIN)/pip-compile -q --upgrade --generate-hashes --no-emit-index-url --no-emit-trusted-host \
	    --no-emit-find-links --no-emit-options --allow-unsafe --strip-extras --no-header --extra fuzz --extra dev \
	    --constraint requirements/all.txt -o requirements/fuzz.txt pyproject.toml

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
