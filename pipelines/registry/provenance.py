"""Which code and which packages a run was made with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import pipelines
from pipelines.records import sha256_of

PACKAGE = Path(pipelines.__file__).parent
GIT_SECONDS = 20


@cache
def code_commit() -> str:
    """Return what names the code that runs, the same on every call of a process.

    Built images say it in TANDEM_CODE_COMMIT. A checkout gives its commit, with `+` and a hash of the sources where
    they are not what was committed. Anything else gives `sources-` and that hash.
    """
    if stated := os.environ.get("TANDEM_CODE_COMMIT"):
        return stated
    sources = sources_sha256()[:12]
    if not _git("ls-files", "__init__.py"):  # installed, perhaps inside somebody else's checkout
        return f"sources-{sources}"
    commit = _git("rev-parse", "HEAD")
    return f"{commit}+{sources}" if _git("status", "--porcelain", "--", ".") else commit


def sources_sha256() -> str:
    """Return the hash of all Python files of this package, by name and content."""
    files = sorted(PACKAGE.rglob("*.py"))
    return sha256_of({str(path.relative_to(PACKAGE)): sha256_of(path.read_bytes()) for path in files})


@cache
def environment_lock() -> str:
    """Return the interpreter and every installed package with its version, one a line, sorted by name."""
    found = {_normal(item.name): item.version for item in metadata.distributions() if item.name}
    lines = [f"{name}=={version}" for name, version in sorted(found.items()) if name != "tandem"]
    return "\n".join([f"python=={platform.python_version()}", *lines]) + "\n"


def environment_sha256() -> str:
    """Return the hash of `environment_lock()`: equal hashes mean equal packages."""
    return sha256_of(environment_lock().encode())


def requirements(*packages: str) -> list[str]:
    """Return `name==version` of the named packages as they are installed here."""
    return [f"{package}=={metadata.version(package)}" for package in packages]


def _git(*arguments: str) -> str:
    """Return what git says of the package's folder; nothing where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=PACKAGE, capture_output=True, text=True, timeout=GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
