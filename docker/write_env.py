"""Write docker/.env: docker/example.env with a random secret for each empty value."""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECRET_BYTES = 32


def random_secret(name: str) -> str:
    """Return a new secret: hexadecimal, which needs no quoting in a URL, a file or a header, but for Fernet keys."""
    key = secrets.token_bytes(SECRET_BYTES)
    return base64.urlsafe_b64encode(key).decode() if name.endswith("FERNET_KEY") else key.hex()


def filled(example: str) -> str:
    """Return the text of an env file with a random secret for each variable that has no value."""
    lines = []
    for line in example.splitlines():
        name, sign, value = line.partition("=")
        missing = sign and not value and not line.startswith("#")
        lines.append(line + random_secret(name) if missing else line)
    return "\n".join(lines) + "\n"


def write(path: Path) -> str | None:
    """Write a new env file that only its owner may read; return what is wrong, or None."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return f"{path} is there already and stays as it is: the databases know the passwords in it."
    with os.fdopen(descriptor, "w") as file:
        file.write(filled((HERE / "example.env").read_text()))
    print(f"Wrote {path}: keep it, and keep it to yourself.")
    return None


if __name__ == "__main__":
    sys.exit(write(HERE / ".env"))
