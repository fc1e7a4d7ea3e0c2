"""What is run to check a change; `nox --list` names it all. `.ci/run` runs the part that must pass for each change."""

from __future__ import annotations

import random
import shutil

import nox

nox.options.sessions = ["tests", "lint", "types", "docs"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13"]
#: What tests/support/fuzz_targets.py has.
FUZZED = ["segment", "whole", "table", "state", "base", "piece", "delta", "store", "value", "encrypted"]


def install(session: nox.Session, extras: str) -> None:
    """Install the package with *extras* as a user would. What an earlier build left behind would go into the wheel."""
    shutil.rmtree("build", ignore_errors=True)
    session.install(f".[{extras}]")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, against the installed package."""
    install(session, "test")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format."""
    session.install("ruff>=0.17,<0.18")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """mypy and pyright, strict, over the package and over right and wrong programs."""
    install(session, "types")
    session.run("mypy", "--strict")
    session.run("pyright")
    session.run("pytest", "tests/typing")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation; a warning is an error."""
    install(session, "docs")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def coverage(session: nox.Session) -> None:
    """Which lines and branches the tests reach, subprocesses included."""
    install(session, "test")
    session.run("coverage", "erase")
    # The script, not `-m pytest`: that would put the checkout on the path.
    session.run("coverage", "run", f"{session.bin}/pytest", "-n", "auto", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def store_coverage(session: nox.Session) -> None:
    """The same for what keeps a store, of which the tests reach each line and each branch; it fails if they do not."""
    install(session, "test")
    files = [f"tests/{name}" for name in ("store", "maintenance", "cli", "unit")]
    behaviour = ("databases_in_stores", "living_in_a_directory", "other_code_in_stores", "saving")
    files += [f"tests/behaviour/test_{name}.py" for name in behaviour]
    session.run("coverage", "erase")
    pytest = [f"{session.bin}/pytest", "-n", "auto", "--timeout=0", *files, *session.posargs]
    session.run("coverage", "run", *pytest)
    session.run("coverage", "combine")
    session.run("coverage", "report", "--include=incr/store/*,incr/maintenance/*", "--fail-under=100")


@nox.session
def deep(session: nox.Session) -> None:
    """The random tests with many more examples: minutes to hours."""
    install(session, "test")
    profile = {"INCR_HYPOTHESIS_PROFILE": "deep"}
    files = ["tests/behaviour/test_deep_chains.py", "tests/behaviour/test_deep_async_chains.py"]
    seed = f"--hypothesis-seed={random.randrange(2**32)}"  # printed with the command; one that is given comes after it
    session.run("pytest", "--timeout=0", "-s", seed, "tests/properties", *files, *session.posargs, env=profile)


@nox.session
def stress(session: nox.Session) -> None:
    """Eight threads on one database for a minute (or as many seconds as are given), every answer compared."""
    install(session, "test")
    seconds = {"INCR_STRESS_SECONDS": session.posargs[0] if session.posargs else "60"}
    session.run("pytest", "-s", "tests/properties/test_threads_at_once.py", env=seconds)


@nox.session
def crashes(session: nox.Session) -> None:
    """What crashes, failing disks and damage leave of a store, with every state that the tests know of: an hour."""
    install(session, "test")
    profile = {"INCR_HYPOTHESIS_PROFILE": "deep"}
    files = [
        f"tests/store/test_{what}_a_store.py" for what in ("crashes_of", "faults_under", "damage_to", "long_lives_of")
    ]
    files += ["tests/store/test_stores_alike.py", "tests/store/test_sqlite_processes.py"]
    files += ["tests/behaviour/test_commits_that_fail.py", "tests/store/test_every_flipped_bit.py"]
    session.run("pytest", "-n", "auto", "--timeout=0", *files, *session.posargs, env=profile)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Readers of bytes under atheris: a target and options of libFuzzer, or all of them, a minute each."""
    install(session, "test")
    session.install("atheris>=3")
    targets = [session.posargs] if session.posargs else [[name, "-max_total_time=60"] for name in FUZZED]
    for target in targets:
        session.run("python", "tests/fuzz/run.py", *target)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """What things cost; see benchmarks/RESULTS.md for the commands that compare with other packages."""
    install(session, "test")
    session.run("python", "benchmarks", *session.posargs)
