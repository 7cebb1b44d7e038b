# Two commands: `make book` builds the book, `make test` proves it. The rest serves those who write it.

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
HTML   := _build/html
PAGES  := $(wildcard book/chapters/*.md)

# Notebooks are executed for storage and for HTML without live widgets; one thread each keeps runs repeatable.
export NEUROGAIN_STATIC := 1
BOOK := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter-book build . -W -n --keep-going

.PHONY: help setup book test lab sync execute bench clean

help:            ## show this list
	@sed -n 's/^\([a-z]*\):.*##/  make \1\t/p' Makefile | expand -t 20

setup: $(READY)  ## make .venv with the pinned packages, and see to ngspice

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	@sh scripts/setup.sh $(VENV)
	@touch $@

book: $(READY)   ## execute the notebooks that changed and build the HTML
	@$(BOOK)
	@echo; echo "The book is ready. Open it with a browser: file://$(CURDIR)/$(HTML)/index.html"

test: $(READY)   ## everything that must hold: library, notebooks, built pages, style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/python -m pytest -n 2 --dist loadfile --nbval --nbval-current-env tests notebooks

lab: $(READY)    ## open the notebooks in JupyterLab, sliders live
	@NEUROGAIN_STATIC= PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter lab notebooks

sync: $(READY)   ## carry the text of book/chapters into notebooks, outputs kept
	@for page in $(PAGES); do \
	  $(BIN)/jupytext --quiet --update --to notebook \
	    --output notebooks/$$(basename $$page .md).ipynb $$page || exit 1; done

execute: sync    ## run the notebooks anew and store their outputs
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python scripts/execute.py notebooks/*.ipynb

bench: $(READY)  ## compare the library with its peers, in the same run
	@for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

clean:           ## remove what was built (not .venv, not your results)
	@rm -rf _build .jupyter_cache .pytest_cache .ruff_cache
