"""Whether the answers are those of the model that serves, to the rows that are there, and still say something.

Read from the profile of the scored file's columns, beside that of the champion's answers on its reference rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pipelines.data.profiles import ColumnProfile, Profile
from pipelines.monitoring.answers import SERVED
from pipelines.records import Anomaly, Partition, ScoredPartition
from pipelines.spec.watching import Anomalies

FEWEST_ROWS = 30  # of fewer rows the spread says little
_NO_SPREAD = 1e-9
_ROUNDING = 1e-6


def other_champion(scored: ScoredPartition, serving_version: int) -> list[Anomaly]:
    """Return an alarm where a window was answered by another version than the one that serves as monitoring looks."""
    if scored.role != "champion" or scored.version == serving_version:
        return []
    way = "rolled back" if scored.version > serving_version else "replaced"
    message = (
        f"The {scored.num_rows:,} rows of {scored.name} were answered by version {scored.version}, and version "
        f"{serving_version} serves now: it was {way} in between. What is found says how version {scored.version} did, "
        "and does not count towards a retraining."
    )
    return [Anomaly(kind="other_champion", severity="warning", column=None, message=message)]


def other_rows(scored: ScoredPartition, current: Partition) -> list[Anomaly]:
    """Return an alarm where the partition's rows are no longer those that were answered."""
    if scored.partition_sha256 == current.content_sha256:
        if scored.num_rows == current.num_rows:
            return []
        message = (
            f"{scored.num_rows:,} answers were stored for {current.num_rows:,} rows of {scored.name}: as many are "
            "needed as there are rows. Nothing that is told of its answers is about all rows."
        )
        return [Anomaly(kind="rows_not_answered", severity="critical", column=None, message=message)]
    message = (
        f"{scored.name} had {scored.num_rows:,} rows when it was answered and has other content now "
        f"({current.num_rows:,} rows): what is told is about the rows that were answered. Scoring it again answers "
        "those of now."
    )
    return [Anomaly(kind="rows_changed", severity="info", column=None, message=message)]


def odd_answers(answers: Profile, reference: Profile | None, settings: Anomalies) -> list[Anomaly]:
    """Return an alarm where answers of a classic model are no numbers, are all the same, or hardly differ any more.

    The spread is the root of the answers' variance, summed over classes.

    Args:
        answers: Profile of the scored file; its columns `prediction` or `prediction.<label>` are looked at.
        reference: The same columns for the champion's reference rows; without it only what needs no comparison is told.
        settings: Bounds.
    """
    ours = _predictions(answers)
    num_rows = answers.num_rows
    if not ours or num_rows == 0:
        return []
    bad = max(column.num_nulls + column.num_not_finite for column in ours.values())
    found = []
    if bad:
        message = (
            f"{bad:,} of {num_rows:,} answers ({bad / num_rows:.2%}) are missing, NaN or infinite; 0 are allowed: "
            "these rows have no answer, and are in no figure."
        )
        found.append(Anomaly(kind="answers_not_finite", severity="critical", column=None, message=message))
    low, high = _range(ours)
    if SERVED not in ours and (low < -_ROUNDING or high > 1 + _ROUNDING):
        message = (
            f"Probabilities lie between {low:.4g} and {high:.4g}; 0 to 1 is what they may be: the answers are no "
            "probabilities, and nothing that is measured or estimated of them counts."
        )
        found.append(Anomaly(kind="answers_no_probabilities", severity="critical", column=None, message=message))
    spread, was = _spread(ours), _spread(_predictions(reference)) if reference is not None else None
    if num_rows - bad < FEWEST_ROWS or spread is None:
        return found
    if spread <= _NO_SPREAD:
        message = (
            f"All {num_rows - bad:,} answers are the same ({_middle(ours)}); they should differ as the rows do: the "
            "champion does not look at its input any more."
        )
        return [*found, Anomaly(kind="answers_constant", severity="critical", column=None, message=message)]
    if was and spread < settings.collapse_share * was:
        message = (
            f"The answers hardly differ: their spread is {spread:.4g}, {spread / was:.0%} of what it was on the "
            f"reference rows ({was:.4g}); at least {settings.collapse_share:.0%} is asked for: the champion hardly "
            "tells rows apart."
        )
        found.append(Anomaly(kind="answers_collapsed", severity="critical", column=None, message=message))
    return found


def dear_answers(answers: Profile, settings: Anomalies) -> list[Anomaly]:
    """Return an alarm where a language model's answers are slow, long, empty-handed or unsafe.

    Args:
        answers: Profile of the scored file, with `seconds`, `num_prompt_tokens`, `num_answer_tokens`, and flags.
        settings: Bounds; those that are None ask for nothing.
    """
    columns = {column.name: column for column in answers.columns}
    found = []
    seconds = _quantile(columns.get("seconds"), 0.95)
    most = settings.most_seconds_per_answer
    if most is not None and seconds is not None and seconds > most:
        message = (
            f"One answer in twenty takes longer than {seconds:.2f} s; {most:g} s are allowed: whoever asks has to wait."
        )
        found.append(Anomaly(kind="latency", severity="warning", column="seconds", message=message))
    tokens = [_mean(columns.get(name)) for name in ("num_prompt_tokens", "num_answer_tokens")]
    if settings.most_tokens_per_answer is not None and any(value is not None for value in tokens):
        total = sum(value or 0.0 for value in tokens)
        if total > settings.most_tokens_per_answer:
            message = (
                f"An answer takes {total:,.0f} tokens on average ({tokens[0] or 0:,.0f} of the prompt and "
                f"{tokens[1] or 0:,.0f} of the answer); {settings.most_tokens_per_answer:,.0f} are allowed: tokens are "
                "what it costs."
            )
            found.append(Anomaly(kind="tokens", severity="warning", column="num_answer_tokens", message=message))
    for name, what in (("is_toxic", "are toxic"), ("has_personal_data", "give away personal data")):
        flagged = _num_true(columns.get(name))
        if flagged:
            message = (
                f"{flagged:,} of {answers.num_rows:,} answers ({flagged / answers.num_rows:.2%}) {what}; 0 are "
                "expected: read them before others do."
            )
            found.append(Anomaly(kind="unsafe_answers", severity="warning", column=name, message=message))
    return found


def _predictions(profile: Profile) -> Mapping[str, ColumnProfile]:
    named = (column for column in profile.columns if column.name == SERVED or column.name.startswith(f"{SERVED}."))
    return {column.name: column for column in named}


def _range(columns: Mapping[str, ColumnProfile]) -> tuple[float, float]:
    numbers = [column.number for column in columns.values() if column.number is not None]
    lows = [number.minimum for number in numbers if number.minimum is not None]
    highs = [number.maximum for number in numbers if number.maximum is not None]
    return min(lows, default=0.0), max(highs, default=0.0)


def _spread(columns: Mapping[str, ColumnProfile]) -> float | None:
    variances = [column.number.variance for column in columns.values() if column.number is not None]
    known = [variance for variance in variances if variance is not None]
    return math.sqrt(sum(known)) if known else None


def _middle(columns: Mapping[str, ColumnProfile]) -> str:
    return ", ".join(f"{name} {column.number.mean or 0:.4g}" for name, column in columns.items() if column.number)


def _quantile(column: ColumnProfile | None, share: float) -> float | None:
    return (
        None
        if column is None or column.number is None or not column.number.count
        else (column.number.summary.quantile(share))
    )


def _mean(column: ColumnProfile | None) -> float | None:
    return None if column is None or column.number is None else column.number.mean


def _num_true(column: ColumnProfile | None) -> int:
    return 0 if column is None or column.text is None else dict(column.text.top()).get("true", 0)
