# Thin: every target is a script in tools/. `make setup` installs what is missing and is a no-op afterwards.
.PHONY: demo test build setup corpus bench clean

demo: setup            ## lower the digits classifier, run it in the ExecuTorch runtime, compare with torch
	@tools/build.sh cortland
	@python3 tools/demo.py

test: setup            ## all tests; the last line is 'N passed, N failed, N skipped'
	@tools/build.sh
	@python3 tools/run_tests.py

build: setup           ## build/release/cortland
	@tools/build.sh

corpus: setup          ## the recorded corpus: every case, target and precision (options: ARGS="--case lstm --target iOS17")
	@tools/build.sh cortland
	@tools/venv.sh
	@build/venv/bin/python tools/corpus.py $(ARGS)

bench: setup           ## lowering and inference against their limit and their peers (options: ARGS="--models resnet18 --quick")
	@tools/build.sh cortland bench_limit
	@tools/venv.sh
	@build/venv/bin/python -m pip --disable-pip-version-check install --quiet -c tests/python/constraints.txt -r bench/requirements.txt
	@build/venv/bin/python bench/run.py $(ARGS)

setup:
	@tools/setup.sh

clean:
	rm -rf build
