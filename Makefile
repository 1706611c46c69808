# Building Segmenter. `make demo` shows it, `make test` tests it; both do all their own set-up.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full lint package install lock train-default-model teach-default-model measure-default-model clean

SHELL := /bin/bash
ENGINE := .venv/bin/python
QGIS_PYTHON := .venv-qgis/bin/python
PROFILE := $(CURDIR)/build/profile
REQUIREMENTS := building_segmenter/requirements
PIP_OPTIONS := --disable-pip-version-check --quiet --require-hashes

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 24

setup: build/.system .venv/.made build/.profile ## Make the environments and the QGIS profile build/profile

build/.system: tools/system-packages.sh
	tools/system-packages.sh
	@mkdir -p build && touch $@

# Nothing but the locked packages goes in; the project itself is linked by a path file.
.venv/.made: $(REQUIREMENTS)/dev.txt tools/find-python.sh | build/.system
	python=$$(tools/find-python.sh $(PYTHON)) && "$$python" -m venv --clear .venv
	$(ENGINE) -m pip install $(PIP_OPTIONS) -r $(REQUIREMENTS)/dev.txt
	@echo "$(CURDIR)" > "$$($(ENGINE) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/building_segmenter.pth"
	@touch $@

.venv-qgis/.made: tests/requirements-qgis.txt | build/.system
	/usr/bin/python3 -m venv --clear --system-site-packages .venv-qgis
	$(QGIS_PYTHON) -m pip install --disable-pip-version-check --quiet -r tests/requirements-qgis.txt
	@touch $@

build/.profile: tools/make-profile.sh metadata.txt .venv/.made | build/.system
	rm -rf $(PROFILE)
	tools/make-profile.sh $(PROFILE) $(CURDIR)/$(ENGINE)
	@touch $@

demo: setup ## Extract footprints through QGIS: of a drawn scene, or RASTER=path.tif (TRUTH=polygons optional)
	$(ENGINE) -m demo.run $(if $(RASTER),--raster "$(RASTER)") $(if $(TRUTH),--truth "$(TRUTH)")

test: setup .venv-qgis/.made ## Run the engine's, the plugin's and the end-to-end tests
	$(ENGINE) -m pytest tests -m "not slow" --ignore=tests/plugin
	QT_QPA_PLATFORM=offscreen QGIS_CUSTOM_CONFIG_PATH=$(PROFILE) $(QGIS_PYTHON) -m pytest --confcutdir=tests/plugin tests/plugin -m "not slow"

# Apart from all else: tf-keras asks for another TensorFlow than the engine's.
build/.original: tests/requirements-original.txt .venv/.made
	rm -rf build/original
	$(ENGINE) -m pip install $(PIP_OPTIONS) --no-deps --target build/original -r $<
	@touch $@

test-full: setup .venv-qgis/.made build/.original ## Run all tests, the slow ones too
	$(ENGINE) -m pytest tests --ignore=tests/plugin
	QT_QPA_PLATFORM=offscreen QGIS_CUSTOM_CONFIG_PATH=$(PROFILE) $(QGIS_PYTHON) -m pytest --confcutdir=tests/plugin tests/plugin

lint: .venv/.made ## Check style, types, imports between rooms, and Python 3.9 syntax of the plugin
	$(ENGINE) -m ruff check .
	$(ENGINE) -m ruff format --check .
	$(ENGINE) -m mypy
	.venv/bin/lint-imports
	.venv/bin/vermin -t=3.9- --no-tips --violations building_segmenter/plugin building_segmenter/tasks building_segmenter/options.py \
		building_segmenter/errors.py building_segmenter/__init__.py

package: ## Make the plugin's zip in dist/
	/usr/bin/python3 tools/package.py dist

install: package ## Install the plugin into your QGIS profile (QGIS_PROFILE=folder to choose another)
	/usr/bin/python3 tools/install.py dist $(QGIS_PROFILE)

lock: .venv/.made ## Renew the locked requirements
	tools/lock.sh

train-default-model: .venv/.made ## Train the shipped model from DATA=folder with BACKBONE=weights file (LEAVE_OUT=town to leave one out)
	$(ENGINE) -m tools.default_model.train --data "$(or $(DATA),../shared/data)" \
		--backbone "$(or $(BACKBONE),../shared/weights/mobilenetv2_1.0_160_notop.weights.h5)" \
		$(if $(LEAVE_OUT),--leave-out $(LEAVE_OUT))

TEACH := $(ENGINE) -m tools.default_model.teaching --data "$(or $(DATA),../shared/data)" --earlier "$(EARLIER)"

teach-default-model: .venv/.made ## Make the shipped model of EARLIER=model, which has a wider pyramid and teaches it on DATA=folder
	$(TEACH) --output build/default-model/taught/model.keras
	$(TEACH) --begin build/default-model/taught/model.keras --contacts 8 --contact-shift 0.25 --learning-rate 0.0002 \
		--epochs 10 --seeds 11

measure-default-model: .venv/.made ## Measure the shipped model on the validation blocks of DATA=folder (LEFT_OUT="town=model ..." for towns left out)
	$(ENGINE) -m tools.default_model.measure --data "$(or $(DATA),../shared/data)" \
		$(if $(LEFT_OUT),models/*.keras --left-out $(LEFT_OUT)) --json build/default-model/figures.json

clean: ## Remove everything that make made
	rm -rf .venv .venv-qgis build dist demo/footprints.* demo/scene.tif demo/scene_truth.gpkg
