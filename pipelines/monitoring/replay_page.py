"""Show a replay on one HTML page that needs nothing but itself: its picture, its table, and what it comes to."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipelines.data.pages.templates import page_templates
from pipelines.gates.pictures.style import save
from pipelines.monitoring.pictures.replay import NARROW, WIDE, draw_replay
from pipelines.monitoring.replay import COLUMNS, ReplayMonth, in_sentences, summarize, table_rows

_ENVIRONMENT = page_templates("pipelines.monitoring")


def render_replay(model: str, months: Sequence[ReplayMonth], metric: str) -> str:
    """Return the page as HTML: the picture inside it, once wide and once for a phone; the same months, the same page.

    Args:
        model: Name of the model spec.
        months: Oldest first.
        metric: What was measured.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        pictures = {
            name: base64.b64encode(save(draw_replay(months, metric, width), Path(folder), name).read_bytes()).decode()
            for name, width in (("wide", WIDE), ("narrow", NARROW))
        }
    return _ENVIRONMENT.get_template("replay.html").render(
        model=model,
        metric=metric,
        months=months,
        summary=summarize(months, metric),
        sentences=in_sentences(summarize(months, metric)),
        columns=COLUMNS,
        rows=table_rows(months, metric),
        pictures=pictures,
    )
