# Every target makes what it needs, the environment in .venv included.
PYTHON ?= python3
BIN := .venv/bin
CHECKOUT := $(CURDIR)
KERNELS := $(wildcard tinygrad_gm/kernels/native/*.[ch])

.PHONY: quickstart axe test test-all test-numpy accuracy parity parity-native parity-numpy references sanitize lint types doctest docs layers bench compared clean

quickstart: .venv/ready
	$(BIN)/tinygrad-gm quickstart

# the accessibility checker that the tests of pages use if it is there
axe: build/axe/axe.min.js
build/axe/axe.min.js:
	mkdir -p $(@D) && cd $(@D) && tar -xzf "$$(npm pack --silent axe-core@4.14.1)" --strip-components=1 package/axe.min.js

# One BLAS thread a worker: more would wait for each other. Each begins with a half of its own, so that
# what the tests of a file share is made once.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=worksteal

# without what takes long, and with one case in twelve of each sweep
test: .venv/ready
	$(PYTEST) -m 'not slow' --one-in 12

# CI runs one case in ONE_IN of each sweep; .venv/tools-ready for the API reference
ONE_IN ?= 1
test-all: .venv/tools-ready
	$(PYTEST) --one-in $(ONE_IN)

# the tests of what native kernels replace, on NumPy alone
test-numpy: .venv/ready
	TINYGRAD_GM_KERNELS=numpy $(PYTEST) -m 'not slow' --one-in 6 tests/ops tests/nn tests/optim

# the native kernels, built with the sanitizers of addresses and undefined behaviour
SANITIZED := CFLAGS='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all'
sanitize: .venv/ready
	copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && \
	cp -r LICENSE README.md pyproject.toml setup.cfg setup.py tinygrad_gm models viz "$$copy" && cd "$$copy" && \
	$(SANITIZED) $(CHECKOUT)/$(BIN)/python -m pip install --quiet --no-deps --target installed . && cd installed && \
	ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$$(cc -print-file-name=libasan.so)" OMP_NUM_THREADS=2 \
	$(CHECKOUT)/$(BIN)/python -m pytest -c $(CHECKOUT)/pyproject.toml -m 'not slow' --one-in 6 $(CHECKOUT)/tests/kernels

# the native kernels in 10,000 random cases against float64
accuracy: .venv/ready
	$(BIN)/python -m pytest --cases 10000 tests/kernels/test_accuracy.py

# with the native kernels where they were built, and on NumPy alone
parity: parity-native parity-numpy

parity-native: .venv-parity/ready
	.venv-parity/bin/python -m pytest --one-in $(ONE_IN) tests/parity

parity-numpy: .venv-parity/ready
	TINYGRAD_GM_KERNELS=numpy .venv-parity/bin/python -m pytest --one-in $(ONE_IN) tests/parity

references: .venv-references/ready
	.venv-references/bin/python -m pytest tests/references

lint: .venv/tools-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/tools-ready
	$(call on_a_copy,$(CHECKOUT)/$(BIN)/python -m mypy --config-file $(CHECKOUT)/pyproject.toml -p tinygrad_gm)

doctest: .venv/ready
	$(call on_a_copy,PYTHONPATH=$(CHECKOUT)/tests $(CHECKOUT)/$(BIN)/python -m pytest -q -c $(CHECKOUT)/pyproject.toml --rootdir=. -p doctest_names --doctest-modules tinygrad_gm)

# tests/test_api_reference.py looks at what this makes
docs: .venv/tools-ready
	$(call on_a_copy,$(CHECKOUT)/$(BIN)/python -W ignore -m pdoc -d google -t $(CHECKOUT)/docs/reference -o $(CHECKOUT)/build/api tinygrad_gm tinygrad_gm.engine)

layers: .venv/ready
	$(BIN)/python tests/architecture.py docs/pictures/layers.svg

compared: .venv/ready .venv-compared/ready
	$(BIN)/python docs/compared.py tinygrad_gm
	for tool in torchview torchviz torchlens; do .venv-compared/bin/python docs/compared.py $$tool || exit 1; done

bench: .venv-bench/ready
	.venv-bench/bin/python -m benchmarks --rivals --load --write

clean:
	rm -rf .venv .venv-parity .venv-references .venv-bench .venv-compared build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f tinygrad_gm/kernels/native/*.so

.venv/ready: setup.cfg setup.py pyproject.toml $(KERNELS)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

.venv/tools-ready: .venv/ready
	$(BIN)/python -m pip install --quiet 'tinygrad_gm[lint,docs]' # the installed one: it is not built again
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

.venv-compared/ready:
	$(PYTHON) -m venv .venv-compared
	.venv-compared/bin/python -m pip install --quiet 'torch==2.13.0' 'torchview==0.2.7' 'torchviz==0.0.3' 'torchlens==2.36.1'
	touch $@

# mypy, doctest and pdoc look at a copy of the package as it is installed, on NumPy alone: in the checkout the
# packages `models` and `viz` lie beside `tinygrad_gm`, not inside it, and would be seen twice or not at all.
define on_a_copy
	copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && \
	cp -r tinygrad_gm "$$copy" && cp -r models viz "$$copy/tinygrad_gm" && \
	rm -f "$$copy"/tinygrad_gm/kernels/native/*.so && cd "$$copy" && $(1)
endef
