# The five commands of a day, for https://just.systems; each also runs by hand as it stands here.

python := ".venv/bin/python"

# List the commands.
default:
    @just --list

# Make the environment.
setup:
    python3 -m venv .venv
    .venv/bin/pip install -c .ci/constraints.txt -e '.[test]'

# Quick tests of a room, `just test tests/store`, or of all.
test *paths="tests":
    {{ python }} -m pytest -q -m "not slow" {{ paths }}

# All tests.
test-all:
    {{ python }} -m pytest -q

# Linter, formatter, types.
lint:
    .venv/bin/ruff check .
    .venv/bin/ruff format .
    .venv/bin/mypy

# The documentation as a site, at http://127.0.0.1:8000.
site:
    {{ python }} -m mkdocs serve -f .mkdocs.yml

# All that must pass before anything lands. It installs a copy into .venv: `just setup` afterwards.
ci:
    .ci/run
