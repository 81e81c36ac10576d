"""The README is the map of the house: what it lists is there, and what is there it lists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
UNNAMED = {"__init__.py", "__main__.py"}


def _tree() -> str:
    (tree,) = re.findall(r"```text\n(dags/.*?)```", README, flags=re.DOTALL)
    return str(tree)


def _listed() -> set[str]:
    """Return the paths of all files in the README's tree."""
    paths, folders = set(), list[str]()
    for line in _tree().splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        folders = folders[:depth]
        if name.endswith("/"):
            folders.append(name)
        else:
            paths.add("".join([*folders, name]))
    return paths


def _there() -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for top in ("dags", "plugins", "pipelines", "config", "docker")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name not in UNNAMED and path.name != ".env"
    }


def test_the_tree_lists_every_file_that_is_there_and_no_other() -> None:
    assert _listed() ^ _there() == set()


def test_every_file_in_the_tree_has_a_caption() -> None:
    assert [line.strip() for line in _tree().splitlines() if len(line.split()) == 1] == []


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[<>=\[]", one)[0] for one in project["dependencies"]}
    named = re.findall(r"^\| ([a-z0-9, -]+) \|", README, flags=re.MULTILINE)
    assert needed - {package for line in named for package in line.split(", ")} == set()


def test_every_benchmark_in_the_readme_can_be_run() -> None:
    figures = README.split("## Figures")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| `([a-z_]+)` \|", figures, flags=re.MULTILINE))
    assert named
    assert {name for name in named if not (ROOT / "tests" / "benchmarks" / f"{name}.py").is_file()} == set()
