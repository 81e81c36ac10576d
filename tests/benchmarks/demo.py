"""How long `make demo` takes once it is installed: start services, take flights to a champion in Airflow, tell."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import report, run_child

TANDEM = str(Path(sys.executable).with_name("tandem"))


def main() -> int:
    """Run the demo in a home of its own, and stop its services."""
    with tempfile.TemporaryDirectory() as home:
        environment = {"TANDEM_HOME": home}
        try:
            run = run_child([TANDEM, "demo", "flight_delay"], environment)
        finally:
            run_child([TANDEM, "down"], environment)
    minutes = run.seconds / 60
    print(f"from nothing running to the summary: {minutes:.1f} minutes, with 90 seconds of search")
    return 0 if report("demo", minutes, "minutes", 5.0, "two cores") else 1


if __name__ == "__main__":
    sys.exit(main())
