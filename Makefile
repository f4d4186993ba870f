# What one can do with a fresh clone. Everything runs in .venv, made with the versions of constraints.txt.
# The same commands without make stand in the README.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

# run the notebooks of a folder at full scale and keep what they show
in_place = MTL_EXPLAIN_SCALE=study PYTHONWARNINGS=ignore::FutureWarning $(BIN)/jupyter execute --inplace --timeout=-1 $(1)/*.ipynb && $(BIN)/nbdev-clean --fname $(1)

.DEFAULT_GOAL := help
.PHONY: help venv demo test checks pages site look bench gpu studies lab export clean

help: ## list what make can do
	@echo "make <target>:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-11s %s\n", $$1, $$2 }'

venv: $(INSTALLED) ## make .venv with the pinned versions (all other targets do it, too)

$(INSTALLED): constraints.txt settings.ini setup.py pyproject.toml nbs/ipython_kernel_config.py
	@echo "Installing into .venv (a few minutes and several GB the first time, most of it PyTorch) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,simulate,aggregation,trust,queue,doors,networks,attribution,hub,onnx,search,cluster]'
	@mkdir -p .venv/etc/ipython
	cp nbs/ipython_kernel_config.py .venv/etc/ipython/
	@touch $@

demo: $(INSTALLED) ## train baseline, MML, MTL and a control on real data and write a report (minutes)
	$(BIN)/mtl_explain demo

test: $(INSTALLED) ## all that must hold: lines in form, exports up to date, notebooks run, the site builds, tests pass
	@# what notebooks and tests write to the folder for temporary files, gigabytes, goes with the folder
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT INT TERM && TMPDIR="$$scratch" $(MAKE) --no-print-directory checks

checks: $(INSTALLED)
	$(BIN)/ruff format --check nbs
	$(BIN)/ruff check nbs mtl_explain
	$(BIN)/python -m mtl_explain.dev.fresh --check
	@echo "running the lessons with their answers"
	OMP_NUM_THREADS=1 MTL_EXPLAIN_SCALE=small $(BIN)/python -m mtl_explain.dev.answers
	@for folder in $(wildcard nbs/studies nbs/gallery); do \
	  echo "running $$folder at small scale"; OMP_NUM_THREADS=1 MTL_EXPLAIN_SCALE=small $(BIN)/nbdev-test $$folder --timing --n-workers 2 || exit 1; done
	$(BIN)/python -m mtl_explain.dev.site --check
	$(BIN)/python -m pytest --cov --cov-report=term

pages: $(INSTALLED) ## run each page of the reference from top to bottom, as a reader does (ten minutes)
	OMP_NUM_THREADS=1 $(BIN)/nbdev-test nbs/api --timing --n-workers 2
	OMP_NUM_THREADS=1 $(BIN)/nbdev-test nbs/dev --timing --n-workers 2

site: $(INSTALLED) ## render the documentation into _site/
	$(BIN)/python -m mtl_explain.dev.site

look: site ## look at the rendered pages: links, pictures, weight, and in Chromium errors and accessibility
	$(BIN)/python -m mtl_explain.dev.site_checks

bench: $(INSTALLED) ## run the benchmarks and keep their outputs
	$(call in_place,nbs/benchmarks)

gpu: $(INSTALLED) ## where there is a GPU: compare it with the processor, time it, keep nbs/benchmarks/gpu.json
	$(BIN)/python -m mtl_explain.dev.gpu

studies: $(INSTALLED) ## run the studies and the gallery at full scale and keep their outputs (hours)
	OMP_NUM_THREADS=1 $(call in_place,nbs/studies)
	OMP_NUM_THREADS=1 $(call in_place,nbs/gallery)

lab: $(INSTALLED) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab nbs

export: $(INSTALLED) ## write mtl_explain/, tests/ and README.md from the notebooks
	$(BIN)/python -m mtl_explain.dev.fresh

clean: ## remove what can be made again (not .venv, not data, not runs)
	rm -rf _proc _site build *.egg-info .pytest_cache .coverage nbs/nbdev.yml nbs/llms.txt
	find mtl_explain tests -name __pycache__ -type d -exec rm -rf {} +
