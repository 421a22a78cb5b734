# Every target makes what it needs, the environment in .venv included.
PYTHON ?= python3
BIN := .venv/bin
CHECKOUT := $(CURDIR)
KERNELS := $(wildcard tinygrad_gm/kernels/native/*.[ch])

.PHONY: quickstart axe test test-all test-numpy accuracy parity references sanitize lint types doctest docs layers bench clean

quickstart: .venv/ready
	$(BIN)/tinygrad-gm quickstart

# the accessibility checker that the tests of pages use if it is there
axe: build/axe/axe.min.js
build/axe/axe.min.js:
	mkdir -p $(@D) && cd $(@D) && tar -xzf "$$(npm pack --silent axe-core@4.14.1)" --strip-components=1 package/axe.min.js

# one BLAS thread a worker: more would wait for each other
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto

# without what takes long, and with one case in twelve of each sweep
test: .venv/ready
	$(PYTEST) -m 'not slow' --one-in 12

# CI runs one case in ONE_IN of each sweep
ONE_IN ?= 1
test-all: .venv/ready
	$(PYTEST) --one-in $(ONE_IN)

# the tests of what native kernels replace, on NumPy alone
test-numpy: .venv/ready
	TINYGRAD_GM_KERNELS=numpy $(PYTEST) -m 'not slow' --one-in 6 tests/ops tests/nn tests/optim

# the native kernels, built with the sanitizers of addresses and undefined behaviour
SANITIZED := CFLAGS='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all'
sanitize: .venv/ready
	$(call on_installed_copy,$(SANITIZED),\
		ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$$(cc -print-file-name=libasan.so)" OMP_NUM_THREADS=2 \
		$(CHECKOUT)/$(BIN)/python -m pytest -c $(CHECKOUT)/pyproject.toml -m 'not slow' --one-in 6 $(CHECKOUT)/tests/kernels)

# the native kernels in 10,000 random cases against float64
accuracy: .venv/ready
	$(BIN)/python -m pytest --cases 10000 tests/kernels/test_accuracy.py

# with the native kernels where they were built, and on NumPy alone
parity: .venv-parity/ready
	.venv-parity/bin/python -m pytest --one-in $(ONE_IN) tests/parity
	TINYGRAD_GM_KERNELS=numpy .venv-parity/bin/python -m pytest --one-in $(ONE_IN) tests/parity

references: .venv-references/ready
	.venv-references/bin/python -m pytest tests/references

lint: .venv/lint-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/lint-ready
	$(call on_installed_copy,CC=false,$(CHECKOUT)/$(BIN)/python -m mypy --config-file $(CHECKOUT)/pyproject.toml -p tinygrad_gm)

doctest: .venv/ready
	$(call on_installed_copy,CC=false,PYTHONPATH=$(CHECKOUT)/tests $(CHECKOUT)/$(BIN)/python -m pytest -q -c $(CHECKOUT)/pyproject.toml --rootdir=. -p doctest_names --doctest-modules tinygrad_gm)

docs: .venv/docs-ready
	$(call on_installed_copy,CC=false,$(CHECKOUT)/$(BIN)/python -W ignore -m pdoc -d google -t $(CHECKOUT)/docs/reference -o $(CHECKOUT)/build/api tinygrad_gm tinygrad_gm.engine)
	$(BIN)/python -m pytest tests/test_api_reference.py

layers: .venv/ready
	$(BIN)/python tests/architecture.py docs/pictures/layers.svg

bench: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks --rivals --load --write

clean:
	rm -rf .venv .venv-parity .venv-references .venv-bench build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f tinygrad_gm/kernels/native/*.so

.venv/ready: setup.cfg setup.py pyproject.toml $(KERNELS)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

.venv/lint-ready: .venv/ready
	$(BIN)/python -m pip install --quiet 'tinygrad_gm[lint]' # the installed one: it is not built again
	touch $@

.venv/docs-ready: .venv/ready
	$(BIN)/python -m pip install --quiet 'tinygrad_gm[docs]'
	touch $@

# CC=false: the other environments use the kernels that .venv has built in the checkout
.venv-parity/ready: .venv/ready
	$(PYTHON) -m venv .venv-parity
	CC=false .venv-parity/bin/python -m pip install --quiet --editable '.[test]' 'torch==2.13.0' 'expecttest==0.3.*'
	touch $@

# torchvision's wheel asks for a PyTorch with CUDA: it is installed without its requirements
.venv-references/ready: .venv/ready
	$(PYTHON) -m venv .venv-references
	CC=false .venv-references/bin/python -m pip install --quiet --editable '.[test]' 'torch==2.13.0'
	.venv-references/bin/python -m pip install --quiet --no-deps 'torchvision==0.28.0' 'timm==1.0.31' 'diffusers==0.42.1'
	.venv-references/bin/python -m pip install --quiet 'transformers==5.24.0' importlib_metadata requests # the last two for diffusers
	touch $@

.venv-bench/ready: .venv/ready
	$(PYTHON) -m venv .venv-bench
	CC=false .venv-bench/bin/python -m pip install --quiet --editable . 'torch==2.13.0' \
		'mygrad==2.5.*' 'pydynet==1.1.*' 'autograd==1.9.*' 'jax==0.10.*'
	touch $@

# mypy and doctest look at an installed copy, from another folder: in the checkout the packages
# `models` and `viz` lie beside `tinygrad_gm`, not inside it, and would be seen twice or not at all.
# $(1) is how the native kernels are built, `CC=false`: not at all; $(2) the command
define on_installed_copy
	rm -rf build
	copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && \
	$(1) $(BIN)/python -m pip install --quiet --no-deps --target "$$copy" . && rm -rf build/lib* build/temp* && \
	cd "$$copy" && $(2)
endef
