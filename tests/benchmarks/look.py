"""What a look by monitoring costs after a month of daily windows, and after three years of them, on a real S3 server.

    python tests/benchmarks/look.py [--small]

A tiny model serves. Of one day that was really delivered, answered and watched, the days after it are copies under
their own names: rows, answers, a report from before the labels came and one from after, and a decision. Then two days
more are delivered, answered, and looked at with no window named, as the DAG does; the second look is measured: every
request to the server, and the seconds of `monitor` and `decide` together. `--small` is 35 and 120 windows.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from measure import ROOT, report, run_child

sys.path.append(str(ROOT))

FEW, MANY = 30, 1_000
MOST_TIMES_AS_MANY = 1.5
FIRST = 13  # the day after those that the model was trained on
WRITERS = 8


def main() -> int:
    """Measure both in processes of their own, and end with one line."""
    few, many = (35, 120) if "--small" in sys.argv else (FEW, MANY)
    children = {number: run_child([sys.executable, __file__, "--windows", str(number)]) for number in (few, many)}
    told = {number: json.loads(child.stdout.splitlines()[-1]) for number, child in children.items()}
    for number, found in told.items():
        print(f"after {number:,} windows: {_in_words(found['second'])}; the look before: {_in_words(found['first'])}")
    ratio = told[many]["second"]["reads"] / told[few]["second"]["reads"]
    against = f"reads at {many:,} windows over reads at {few}: " + ", ".join(
        f"{found['second']['reads']} in {found['second']['seconds']:.1f} s" for found in (told[many], told[few])
    )
    memory = children[many].peak_memory_bytes
    return 0 if report("look.reads", ratio, "times", MOST_TIMES_AS_MANY, against, memory) else 1


def _in_words(found: dict[str, Any]) -> str:
    return f"{found['reads']} reads, {found['lists']} of them pages of listings, {found['seconds']:.1f} s"


def measure(num_windows: int) -> dict[str, Any]:
    """Return what the looks at the last two of so many windows cost."""
    import pytest

    from pipelines.store.s3 import S3Store
    from tests.servers import running_s3
    from tests.steps.watching import Place, copy_tiny, train_tiny

    with tempfile.TemporaryDirectory(prefix="tandem-look-") as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        train_tiny(folder / "trained")
        local = copy_tiny(folder / "trained", folder / "place", patch)
        watched = local.live(FIRST)
        (folder / "s3").mkdir()
        with running_s3(folder / "s3") as settings:
            store = S3Store("tandem", "look", settings.s3_endpoint_url)
            requests = counted(store)
            for info in local.context.store.list():
                store.write(info.key, local.context.store.read(info.key))
            place = Place(replace(local.context, store=store), local.rows)
            last = FIRST + num_windows - 1
            write_history(place, watched, range(FIRST + 1, last - 1))
            return {"first": look_at(place, last - 1, requests), "second": look_at(place, last, requests)}


def counted(store: Any) -> Counter[str]:
    """Return what counts each request that a store on S3 sends: `reads`, and those of them that are `lists`."""
    requests = Counter[str]()

    def sent(request: Any, **_: Any) -> None:
        if request.method in {"GET", "HEAD"}:
            requests["reads"] += 1
            requests["lists"] += "list-type" in request.url

    store._client.meta.events.register("before-send.s3", sent)
    return requests


def look_at(place: Any, number: int, requests: Counter[str]) -> dict[str, Any]:
    """Deliver and answer a day, look at the newest windows, and decide."""
    from pipelines.records import WindowRequest
    from pipelines.steps.classic.monitor import monitor
    from pipelines.steps.decide import decide
    from tests.steps.watching import end_of

    place.deliver(number)
    place.score(number)
    requests.clear()
    started = time.perf_counter()
    monitored = monitor(place.context, WindowRequest(as_of=end_of(number)))
    decide(place.context, monitored)
    return {"seconds": time.perf_counter() - started, **requests}


def write_history(place: Any, watched: Any, numbers: range) -> None:
    """Write what days leave that were delivered, answered, watched before and after their labels came, and decided."""
    from pipelines.data.partitions import content_folder, read_current
    from pipelines.records import ScoredPartition
    from pipelines.steps.reports import report_key
    from pipelines.store.verified import read_record
    from tests.steps.watching import MODEL, day, end_of

    store, first = place.context.store, day(FIRST)
    (record,) = [key for key in place.keys(f"scores/{first}/") if key.endswith(".json")]
    scored, current = read_record(store, record, ScoredPartition), read_current(store, MODEL, first)
    rows, answers = store.read(current.partition.key), store.read(scored.key)

    def write(number: int) -> None:
        name, moment = day(number), end_of(number)
        partition = current.partition.model_copy(
            update={"name": name, "key": current.partition.key.replace(first, name)}
        )
        mine = scored.model_copy(update={"name": name, "key": scored.key.replace(first, name), "requested_at": moment})
        after = watched.model_copy(update={"window_name": name, "as_of": end_of(number + 1)})
        before = after.model_copy(update={"as_of": moment, "num_labelled": 0, "performance": ()})
        for key, data in [
            (partition.key, rows),
            (
                f"{content_folder(MODEL, 'partitions', name)}/current.json",
                current.model_copy(update={"partition": partition}).to_bytes(),
            ),
            (mine.key, answers),
            (record.replace(first, name), mine.to_bytes()),
            (report_key(before), before.to_bytes()),
            (report_key(after), after.to_bytes()),
        ]:
            store.write(key, data)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, numbers))
    write_decisions(place, numbers)


def write_decisions(place: Any, numbers: range) -> None:
    """Append that nothing was asked for on any of these days."""
    from pipelines.registry.decisions import append_decision, last_decision
    from tests.steps.watching import MODEL, end_of

    store = place.context.store
    head = last_decision(store, MODEL)
    for number in numbers:
        fields = {"action": "observed", "reasons": (), "evidence": (), "by": "monitoring", "at": end_of(number)}
        head = append_decision(
            store, MODEL, head, lambda state, _, fields=fields: {**fields, "as_of": fields["at"], "state": state}
        )


if __name__ == "__main__":
    if "--windows" in sys.argv:
        print(json.dumps(measure(int(sys.argv[sys.argv.index("--windows") + 1]))))
    else:
        sys.exit(main())
