from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["airflow.Dockerfile", "trainer.Dockerfile"]


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile and their arguments, comments left out and lines joined."""
    lines = [line for line in (ROOT / "docker" / name).read_text().splitlines() if not line.strip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.split(" ", 1)[0], re.sub(r"\s+", " ", line.split(" ", 1)[1])) for line in joined if line]


def last_stage(name: str) -> list[tuple[str, str]]:
    found = instructions(name)
    start = max(index for index, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


def arguments(name: str, word: str) -> list[str]:
    return [rest for each, rest in last_stage(name) if each == word]


def hadolint(dockerfile: Path) -> subprocess.CompletedProcess[str]:
    """Run hadolint the way `make lint` does."""
    command = [Path(sys.executable).with_name("hadolint"), "--config", ROOT / "docker" / "hadolint.yaml", dockerfile]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_hadolint_has_nothing_to_say(name: str) -> None:
    found = hadolint(ROOT / "docker" / name)
    assert (found.stdout, found.returncode) == ("", 0)


def test_hadolint_lets_no_small_thing_pass(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM debian:12\nRUN apt-get update && apt-get install --yes --no-install-recommends make\n")
    found = hadolint(dockerfile)
    assert ("DL3009" in found.stdout, "DL3008" in found.stdout, found.returncode) == (True, False, 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_base_is_pinned_to_a_version(name: str) -> None:
    found = instructions(name)
    bases = [rest.split("=", 1)[1] for word, rest in found if word == "ARG" and "_IMAGE=" in rest]
    stages = {rest.split(" AS ")[1] for word, rest in found if word == "FROM" and " AS " in rest}
    for word, rest in found:
        if word == "FROM":
            base = rest.split(" AS ")[0]
            assert base in stages or re.fullmatch(r"\$\{[A-Z]+_IMAGE\}", base)
    assert all(re.fullmatch(r"[a-z/]+:\d[\w.-]+", base) for base in bases)


def test_both_images_have_one_python() -> None:
    def base(name: str) -> str:
        return next(rest for word, rest in instructions(name) if word == "ARG" and rest.startswith("PYTHON_IMAGE="))

    assert base(NAMES[0]) == base(NAMES[1])
    assert base(NAMES[0]).startswith("PYTHON_IMAGE=python:3.11-slim")


@pytest.mark.parametrize("name", NAMES)
def test_the_image_runs_as_one_fixed_user_who_is_not_root(name: str) -> None:
    assert arguments(name, "USER") == ["50000:0"]
    assert "useradd --uid 50000 --gid 0" in arguments(name, "RUN")[0]


@pytest.mark.parametrize("name", NAMES)
def test_packages_come_from_make_install_and_nothing_else(name: str) -> None:
    runs = [rest for word, rest in instructions(name) if word == "RUN"]
    assert [run for run in runs if "make install" in run] == [
        "--mount=type=cache,target=/root/.cache/pip make install EXTRAS=cluster"
    ]
    assert not [run for run in runs if "pip " in run.replace("/root/.cache/pip ", "")]


def test_make_install_takes_the_extras_and_the_lock(tmp_path: Path) -> None:
    command = ["make", "--dry-run", "--always-make", "install", "EXTRAS=cluster", f"VENV={tmp_path}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert "-m pip install -qq --constraint constraints.txt --editable '.[cluster]'" in shown


@pytest.mark.parametrize("name", NAMES)
def test_nothing_secret_and_no_state_is_in_the_image(name: str) -> None:
    settings = " ".join(rest for word, rest in instructions(name) if word in {"ARG", "ENV"})
    names = re.findall(r"(\w+)=", settings)
    assert "TANDEM_CODE_COMMIT" in names
    assert not [each for each in names if re.search(r"PASSWORD|SECRET|TOKEN|_KEY", each)]
    assert not [rest for word, rest in instructions(name) if word == "VOLUME"]


@pytest.mark.parametrize("name", NAMES)
def test_the_image_says_what_it_is_and_whether_it_is_well(name: str) -> None:
    labels = " ".join(arguments(name, "LABEL"))
    for label in ("title", "description", "licenses", "revision"):
        assert f"org.opencontainers.image.{label}=" in labels
    assert len(arguments(name, "HEALTHCHECK")) == 1
    assert arguments(name, "ENTRYPOINT") == ['["/opt/tandem/docker/entrypoint.sh"]']


def test_both_images_hold_the_same_code_and_settings() -> None:
    def settings(name: str) -> set[str]:
        return {each for each in arguments(name, "ENV")[0].split(" ") if not each.startswith(("PATH=", "HEALTH_URL="))}

    assert settings(NAMES[0]) < settings(NAMES[1])
    assert "DS_BUILD_OPS=0" in settings(NAMES[1])
    copied = [{rest for rest in arguments(name, "COPY") if "docker/" not in rest} for name in NAMES]
    assert copied[0] == copied[1]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_copied_is_there_and_reaches_the_builder(name: str) -> None:
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [rest.split(" ")[:-1] for word, rest in instructions(name) if word == "COPY" and "--from" not in rest]
    for source in (each for sources in copied for each in sources):
        assert (ROOT / source).exists(), source
        assert any(source == kept or source.startswith(f"{kept}/") for kept in let_through), source


def test_the_builder_is_sent_neither_state_nor_secrets() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "*"
    assert not {"!var", "!docker", "!.git", "!docker/.env", "!tests"} & set(lines)
