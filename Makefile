.PHONY: up down destroy status doctor password manage test backup restore bench lint lock scratch wire images help
PYTHON = .venv/bin/python

help:            ## what you can type
	@grep -hE '^[a-z]+: .*##|^[a-z]+:  *##' $(MAKEFILE_LIST) | sed 's/: *## */: /; s/:.*## /: /' | awk -F': ' '{printf "  make %-9s %s\n", $$1, $$2}'

up:              ## set this machine up, start the platform, push the example app
	@host/bootstrap.sh run
	@$(PYTHON) -m host up

down:            ## stop the platform; apps and data stay
	@$(PYTHON) -m host down

destroy:         ## remove everything the platform made on this machine
	@$(PYTHON) -m host destroy

status:          ## what runs, and where
	@$(PYTHON) -m host status

doctor:          ## what is wrong with this machine or the platform, and what to do
	@$(PYTHON) -m host doctor

password:        ## give the administrator a new password
	@$(PYTHON) -m host password

manage:          ## maintenance of the controller: make manage DO="rotate_keys"
	@$(PYTHON) -m host manage $(DO)

backup:          ## the whole platform in one file, while it runs: make backup FILE=/root/paas.tar
	@$(PYTHON) -m host backup $(or $(FILE),paas-backup-$(shell date +%Y%m%d-%H%M%S).tar)

restore:         ## a platform from its backup, on an empty machine: make restore FILE=/root/paas.tar
	@host/bootstrap.sh run
	@$(PYTHON) -m host restore $(FILE)

scratch:         ## a platform for API and client tests, no Docker: make scratch PORT=8900
	@[ -x $(PYTHON) ] || host/bootstrap.sh run
	@$(PYTHON) -m host.scratch --port $(or $(PORT),8900)

wire:            ## the Deis API's wire tests over HTTP, on a scratch platform of their own (10 minutes)
	@[ -x $(PYTHON) ] || host/bootstrap.sh test
	@$(PYTHON) -m host.scratch --port $(or $(PORT),8900) --run $(PYTHON) -m pytest tests/contracts/deis_api

test:            ## everything: unit, contract, conformance, end to end
	@host/bootstrap.sh test
	@$(PYTHON) -m host.testing

bench:           ## medians and ratios against peers and physical limits
	@host/bootstrap.sh test
	@$(PYTHON) -m bench

images:          ## images of the programs for Kubernetes: make images REGISTRY=registry.example.com/paas
	@[ -x $(PYTHON) ] || host/bootstrap.sh run
	@$(PYTHON) -m host.images --registry "$(REGISTRY)" $(if $(BASE),--base $(BASE)) $(if $(TAG),--tag $(TAG))

lint:            ## style, imports, types
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/lint-imports && .venv/bin/mypy \
	  && .venv/bin/mypy --platform=win32 cli && .venv/bin/mypy --platform=darwin cli

lock:            ## pin the versions that pyproject.toml allows (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url -q pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url -q pyproject.toml --extra dev -o requirements-dev.lock
