"""How long a thousand different requests for a retraining take to be decided: one at a time, and in one go.

The bare cost is written beside it: as many objects put into the same file store, which flushes each to the disk. One
request is two of these, itself and its decision.
"""

from __future__ import annotations

import json
import sys

from measure import report, run_child

NUM_REQUESTS = 1_000
CHILD = """
import json, sys, tempfile, time
from pathlib import Path
from pipelines.records import RetrainingRequest
from pipelines.registry.decisions import read_decisions, state_after
from pipelines.spec import load_environment, load_model
from pipelines.steps.context import Context
from pipelines.steps.request import decide_requests, request
from pipelines.store.files import FileStore

count = int(sys.argv[1])
spec, environment = load_model("flight_delay"), load_environment()

def timed(act):
    with tempfile.TemporaryDirectory() as folder:
        context = Context(spec, environment, FileStore(Path(folder)))
        started = time.perf_counter()
        act(context)
        seconds = time.perf_counter() - started
        decided = state_after((read_decisions(context.store, spec.name) or [None])[-1])
    return seconds, decided

wishes = [RetrainingRequest(model=spec.name, reason="event", evidence={"n": n}) for n in range(count)]
bare, _ = timed(lambda context: [context.store.put_if_absent(f"m/{n}", one.to_bytes()) for n, one in enumerate(wishes)])
singly, one_by_one = timed(lambda context: [request(context, wish) for wish in wishes])
together, at_once = timed(lambda context: decide_requests(context, wishes))
assert one_by_one.num_requests == at_once.num_requests == count
assert one_by_one.pending.run_id == at_once.pending.run_id
print(json.dumps({"bare": bare, "singly": singly, "together": together}))
"""


def main() -> int:
    """Measure once, and end with a line a figure."""
    count = 50 if "--small" in sys.argv else NUM_REQUESTS
    child = run_child([sys.executable, "-c", CHILD, str(count)])
    seconds = json.loads(child.stdout)
    bare = f"{count} puts into the same store: {seconds['bare']:.2f} s"
    memory = child.peak_memory_bytes
    well = report("decided_one_by_one", seconds["singly"], "s", 30, bare, memory)
    return 0 if report("decided_in_one_go", seconds["together"], "s", 2, bare, memory) and well else 1


if __name__ == "__main__":
    sys.exit(main())
