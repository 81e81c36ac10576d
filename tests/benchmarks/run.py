"""Run every benchmark, or the one named, each in a process of its own and one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from measure import bench_folder

HERE = Path(__file__).resolve().parent
NOT_BENCHMARKS = {"measure", "run"}


def names() -> list[str]:
    """Return the benchmarks' names: the files that define `main`."""
    files = sorted(path for path in HERE.glob("*.py") if path.stem not in NOT_BENCHMARKS)
    return [path.stem for path in files if "\ndef main(" in path.read_text()]


def prepare_peers(name: str = "peers") -> str:
    """Install what `<name>.txt` lists into an environment of its own, once; return its interpreter."""
    folder = bench_folder() / name
    python, stamp, wanted = folder / "bin" / "python", folder / ".installed", (HERE / f"{name}.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", HERE / f"{name}.txt"], check=True)
        stamp.write_text(wanted)
    return str(python)


def main(chosen: list[str]) -> int:
    """Run the benchmarks; return 1 when a figure misses its bound or a benchmark fails."""
    known = names()
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        print(f"Unknown benchmark: {', '.join(unknown)}; allowed: {', '.join(known)}. Nothing was run.")
        return 2

    environment = {**os.environ, "TANDEM_BENCH_PYTHON": prepare_peers()}
    all_ok = True
    for name in chosen or known:
        print(f"== {name}", flush=True)
        with subprocess.Popen(
            [sys.executable, HERE / f"{name}.py"], env=environment, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                print(line, end="", flush=True)
                if line.startswith("{"):
                    all_ok &= bool(json.loads(line)["ok"])
        all_ok &= child.returncode == 0
    return 0 if all_ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
