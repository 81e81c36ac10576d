"""Start one process of a training."""

from __future__ import annotations

import sys

from pipelines.llm.worker.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
