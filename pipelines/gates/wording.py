"""Say what was measured, what was needed, and what would settle it, in one line a person can act on."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Evaluation, MetricValue, Outcome, PairedDifference, RuleResult, Verdict

_MOST_DECIMALS = 12


def place(metric: str, slice_name: str) -> str:
    """Return where a figure was taken: `roc_auc` for all rows, `roc_auc on origin=JFK` for a slice."""
    return metric if slice_name == "all" else f"{metric} on {slice_name}"


def absolute(measured: MetricValue, sign: str, bound: float) -> str:
    """Return `roc_auc on origin=JFK = 0.512 [0.490, 0.534], needs >= 0.550`, told apart by enough decimals."""
    assert measured.value is not None
    decimals = _decimals(measured.value, bound)
    shown = f"{measured.value:.{decimals}f}"
    if measured.low is not None and measured.high is not None:
        shown += f" [{measured.low:.{decimals}f}, {measured.high:.{decimals}f}]"
    return f"{place(measured.metric, measured.slice)} = {shown}, needs {sign} {bound:.{decimals}f}"


@dataclass(frozen=True)
class Needed:
    """What a rule asks of the difference to another model, turned so that more is better.

    It may lose `margin` at most, or where a `gain` is asked for, must win `margin` at least, and more than nothing.
    """

    margin: float
    other: str = "champion"
    gain: bool = False

    @property
    def least(self) -> float:
        """The smallest difference that will do."""
        return (self.margin if self.gain else -self.margin) + 0.0  # never -0.0, which prints with its sign

    def is_met_by(self, difference: float) -> bool:
        """Tell whether a difference is enough."""
        return difference >= self.least and (difference > 0 or not self.gain)


def relative(difference: PairedDifference, lower_is_better: bool, needed: Needed, outcome: Outcome) -> str:
    """Return the difference with its interval, the bound, and for a hold what would settle it."""
    value, low, high = difference.value, difference.low, difference.high
    assert value is not None
    assert low is not None
    assert high is not None
    strict = needed.gain and needed.margin == 0
    bound, sign, worst = (-needed.least, "<", high) if lower_is_better else (needed.least, ">", low)
    decimals = _decimals(worst, bound)
    figures = f"{value:+.{decimals}f} [{low:+.{decimals}f}, {high:+.{decimals}f}]"
    text = (
        f"{place(difference.metric, difference.slice)}: challenger minus {needed.other} = {figures}, "
        f"the interval needs to be {sign}{'' if strict else '='} {bound + 0.0:+.{decimals}f}"
    )
    return f"{text}; {_way_out(difference, lower_is_better, needed)}" if outcome == "hold" else text


def _way_out(difference: PairedDifference, lower_is_better: bool, needed: Needed) -> str:
    """Tell how many rows would bring the interval clear of the margin: its width shrinks with their square root."""
    assert difference.value is not None
    assert difference.low is not None
    assert difference.high is not None
    start = f"{difference.num_rows:,} rows are too few to tell"
    turned = -1.0 if lower_is_better else 1.0
    room = turned * difference.value - needed.least
    if room <= 0:
        return f"{start}, and more of them would sooner reject it"
    reach = abs(difference.value - (difference.high if lower_is_better else difference.low))
    rows = max(1.0, difference.num_rows * (reach / room) ** 2)
    return f"{start}, about {float(f'{rows:.2g}'):,.0f} would be enough if the difference stays"


def sentence(outcome: Outcome, results: tuple[RuleResult, ...], has_champion: bool) -> str:
    """Return the verdict as one sentence: every result that is not `promote`, or that all rules hold."""
    if outcome == "promote":
        return f"Candidate may be promoted: all {len(results)} checks hold."
    verb = "rejected" if outcome == "reject" else "held"
    consequence = "champion stays" if has_champion else "there is still no champion"
    return f"Candidate {verb}, {consequence}: {'; '.join(r.reason for r in results if r.outcome != 'promote')}."


def _decimals(value: float, bound: float) -> int:
    """Return how many decimals show that two numbers differ: 3 where that is enough."""
    for decimals in range(3, _MOST_DECIMALS):
        if value == bound or f"{value:.{decimals}f}" != f"{bound:.{decimals}f}":
            return decimals
    return _MOST_DECIMALS


def page(verdict: Verdict, evaluation: Evaluation) -> str:
    """Return the verdict as Markdown: the sentence, every result, the figures of all rows, and what it is bound to."""
    champion = evaluation.champion_version
    results = "\n".join(f"| {result.outcome} | {_cell(result.reason)} |" for result in verdict.results)
    others = ["champion (none yet)" if champion is None else f"champion, version {champion}"]
    others += ["base"] if evaluation.base_sha256 is not None else []
    head = "".join(f" {other} | difference |" for other in others)
    figures = "\n".join(_row(evaluation, value.metric) for value in evaluation.metrics if value.slice == "all")
    return f"""# Verdict: {verdict.outcome}

{sentence(verdict.outcome, verdict.results, champion is not None)}

| outcome | reason |
|---|---|
{results}

Measured on {evaluation.num_rows:,} held-out rows; in brackets 95 % bootstrap intervals, of the difference paired.

| metric | challenger |{head}
|---|---|{"---|---|" * len(others)}
{figures}

| bound to | SHA-256 |
|---|---|
| candidate | `{verdict.candidate_sha256}` |
| evaluation | `{verdict.evaluation_sha256}` |
| holdout | `{verdict.holdout_sha256}` |
| champion's ledger entry | `{verdict.champion_ledger_sha256 or "none"}` |
| rules | `{verdict.rules_sha256}` |
| this verdict | `{verdict.sha256}` |
"""


def _row(evaluation: Evaluation, metric: str) -> str:
    cells = [
        _shown(_overall(evaluation.metrics, metric)),
        _shown(_overall(evaluation.champion_metrics, metric)),
        _shown(_overall(evaluation.differences, metric), "+"),
    ]
    if evaluation.base_sha256 is not None:
        cells.append(_shown(_overall(evaluation.base_metrics, metric)))
        cells.append(_shown(_overall(evaluation.base_differences, metric), "+"))
    return f"| {metric} | {' | '.join(cells)} |"


def _overall(
    figures: tuple[MetricValue, ...] | tuple[PairedDifference, ...], metric: str
) -> MetricValue | PairedDifference | None:
    return next((one for one in figures if (one.metric, one.slice) == (metric, "all")), None)


def _shown(figure: MetricValue | PairedDifference | None, sign: str = "") -> str:
    if figure is None:
        return "-"
    if figure.value is None:
        return "not measured"
    interval = (
        "" if figure.low is None or figure.high is None else f" [{figure.low:{sign}.4f}, {figure.high:{sign}.4f}]"
    )
    return f"{figure.value:{sign}.4f}{interval}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
