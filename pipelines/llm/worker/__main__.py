"""Start one process of a training."""

from __future__ import annotations

import sys

sys.modules["mlflow"] = None  # type: ignore[assignment]
"""DeepSpeed's autotuner, which nobody here calls, takes it where it is installed: 77 MB and a second of each start."""

from pipelines.llm.worker.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
