from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import pipelines
from pipelines.registry import provenance

SAY_COMMIT = "from pipelines.registry.provenance import code_commit; print(code_commit())"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package in a folder that no git knows."""
    source = Path(pipelines.__file__).parent
    shutil.copytree(source, tmp_path / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".gitignore").write_text("__pycache__/\n")  # as the project's own: importing it writes them
    return tmp_path


def _commit_said_in(folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", SAY_COMMIT], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _change(folder: Path) -> None:
    source = folder / "pipelines" / "errors.py"
    source.write_text(source.read_text() + "# changed\n")


def test_a_clean_checkout_says_its_commit(copy: Path) -> None:
    _git(copy, "init", "-q")
    _git(copy, "add", "pipelines")
    _git(copy, "commit", "-q", "-m", "all")
    assert _commit_said_in(copy) == _git(copy, "rev-parse", "HEAD")


def test_a_changed_checkout_says_its_commit_and_the_hash_of_the_sources(copy: Path) -> None:
    _git(copy, "init", "-q")
    _git(copy, "add", "pipelines")
    _git(copy, "commit", "-q", "-m", "all")
    _change(copy)
    assert re.fullmatch(_git(copy, "rev-parse", "HEAD") + r"\+[0-9a-f]{12}", _commit_said_in(copy))


def test_without_git_the_sources_name_themselves(copy: Path) -> None:
    before = _commit_said_in(copy)
    assert re.fullmatch("sources-[0-9a-f]{12}", before)
    _change(copy)
    assert _commit_said_in(copy) != before


def test_a_package_installed_inside_somebody_elses_checkout_does_not_take_its_commit(copy: Path) -> None:
    _git(copy, "init", "-q")
    (copy / "README").write_text("another project")
    _git(copy, "add", "README")
    _git(copy, "commit", "-q", "-m", "another project")
    assert _commit_said_in(copy).startswith("sources-")


def test_an_image_says_the_commit_it_was_built_from(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CODE_COMMIT", "abc123")
    assert _commit_said_in(copy) == "abc123"


def test_the_lock_names_the_interpreter_and_every_package_but_this_one() -> None:
    lines = provenance.environment_lock().splitlines()
    assert lines[0].startswith("python==3.11.")
    assert f"scikit-learn=={metadata.version('scikit-learn')}" in lines
    names = [line.split("==")[0] for line in lines[1:]]
    assert names == sorted(set(names))
    assert not [line for line in lines if line.startswith("tandem==")]


def test_the_lock_is_the_same_in_another_process() -> None:
    script = "from pipelines.registry.provenance import environment_sha256; print(environment_sha256())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == provenance.environment_sha256()


def test_requirements_are_pinned_to_what_is_installed() -> None:
    assert provenance.requirements("numpy") == [f"numpy=={metadata.version('numpy')}"]
