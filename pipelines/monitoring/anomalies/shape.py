"""Whether the columns are those of the reference: the same names and families, no burst of nulls, no unseen category.

Read from profiles alone: neither the window's rows nor the reference's are looked at again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from scipy.stats import binom

from pipelines.data.profiles import FORMAT_VERSION, ColumnProfile, Profile
from pipelines.data.sketches import FrequentSketch
from pipelines.data.words import MOSTLY_DISTINCT
from pipelines.records import Anomaly, Severity

FEWEST_ROWS = 30  # a share of fewer rows says little
CHANCE = 1e-4  # by which a rise of nulls may still be chance
SHOWN = 5
_RARE = 0.1  # of its share here: a category that the reference's sketch may have held this seldom was not known


def usable_reference(profile: Profile | None, name: str) -> tuple[Profile | None, list[Anomaly]]:
    """Return the reference if it can be compared with, and otherwise None and an alarm that says what happens now.

    Args:
        profile: The reference's profile, None where there is none.
        name: What the reference is called, for people.
    """
    if profile is None:
        message = (
            f"There is no reference profile {name}: nothing is compared with the training rows, so neither drift nor "
            "changes of the schema can be seen. The next training makes one."
        )
        return None, [Anomaly(kind="reference_missing", severity="critical", column=None, message=message)]
    if profile.version != FORMAT_VERSION:
        message = (
            f"The reference profile {name} has format version {profile.version}, and {FORMAT_VERSION} is what is "
            "written now: nothing is compared with the training rows. The next training makes one that can be."
        )
        return None, [Anomaly(kind="reference_version", severity="critical", column=None, message=message)]
    return profile, []


def schema_changes(
    new: Profile, reference: Profile, features: Collection[str], ignored: Collection[str] = ()
) -> list[Anomaly]:
    """Return an alarm for each column that is gone, new, or of another family.

    Args:
        new: The window's profile.
        reference: The training rows'.
        features: Columns that the champion answers by: a change of theirs is critical.
        ignored: Columns that come later or not at all when rows are scored, such as the target.
    """
    ours = {column.name: column for column in new.columns if column.name not in ignored}
    theirs = {column.name: column for column in reference.columns if column.name not in ignored}
    found = []
    for name in theirs:
        severity: Severity = "critical" if name in features else "warning"
        if name not in ours:
            meaning = "the champion cannot answer as it learnt to" if name in features else "no feature is affected"
            message = f"Column {name!r} is gone: the training rows have it as {theirs[name].family}; {meaning}."
            found.append(Anomaly(kind="column_gone", severity=severity, column=name, message=message))
        elif len({ours[name].family, theirs[name].family} - {"empty"}) > 1:
            message = (
                f"Column {name!r} is {ours[name].family} and was {theirs[name].family} in the training rows: its "
                "values cannot be compared, and mean something else to the champion."
            )
            found.append(Anomaly(kind="type_changed", severity=severity, column=name, message=message))
    for name in ours.keys() - theirs.keys():
        message = f"Column {name!r} ({ours[name].family}) is new: the training rows do not have it, nothing reads it."
        found.append(Anomaly(kind="column_new", severity="info", column=name, message=message))
    return sorted(found, key=lambda anomaly: (anomaly.kind, anomaly.column or ""))


def null_bursts(new: Profile, reference: Profile, columns: Sequence[str], rise: float) -> list[Anomaly]:
    """Return an alarm for each column whose share of missing values rose by `rise` or more, and by more than chance.

    NaN and infinite numbers are missing too. A column without any value left is critical.
    """
    found = []
    for name, ours, theirs in _both(new, reference, columns):
        missing, share, was = _num_missing(ours), _share_missing(ours), _share_missing(theirs)
        if share - was < rise or binom.sf(missing - 1, ours.num_rows, was) > CHANCE:
            continue
        message = (
            f"{share:.1%} of {name!r} is missing ({missing:,} of {ours.num_rows:,} rows), {was:.1%} were in the "
            f"training rows; a rise below {rise:.1%} is allowed: the champion answers these rows without it."
        )
        severity: Severity = "critical" if missing == ours.num_rows else "warning"
        found.append(Anomaly(kind="nulls", severity=severity, column=name, message=message))
    return found


def unseen_categories(new: Profile, reference: Profile, columns: Sequence[str], most: float) -> list[Anomaly]:
    """Return an alarm for each text column where more than a share `most` of the rows has a category never trained on.

    Up to 768 distinct texts a sketch is exact. With more it knows counts within a bound; then a category counts as
    unseen when the training rows have it, at most, a tenth as often as the window has it, at least: what is reported
    is surely so, and rare categories of identifiers are passed over. Where nearly every text of the training rows is
    another, as prompts are, one that came once is no category.
    """
    found = []
    for name, ours, theirs in _both(new, reference, columns):
        if ours.text is None or theirs.text is None or ours.num_rows < FEWEST_ROWS or ours.family != "text":
            continue
        fewest = 2 if theirs.num_distinct > MOSTLY_DISTINCT * theirs.text.count else 1
        known = FrequentSketch.merged([theirs.text.frequent])
        unseen = [
            (text, rows)
            for text, rows in FrequentSketch.merged([ours.text.frequent]).surely()
            if rows >= fewest and known.at_most(text) / theirs.num_rows <= _RARE * rows / ours.num_rows
        ]
        share = sum(rows for _, rows in unseen) / ours.num_rows
        if share <= most:
            continue
        largest = sorted(unseen, key=lambda pair: (-pair[1], pair[0]))
        named = ", ".join(f"{text!r} ({rows:,})" for text, rows in largest[:SHOWN])
        more = f" and {len(largest) - SHOWN} more" if len(largest) > SHOWN else ""
        message = (
            f"{share:.1%} of the rows have a value of {name!r} that the training rows have not: {named}{more}; up to "
            f"{most:.1%} is allowed: the champion has learnt nothing about them."
        )
        found.append(Anomaly(kind="unseen_categories", severity="warning", column=name, message=message))
    return found


def _both(new: Profile, reference: Profile, columns: Sequence[str]) -> list[tuple[str, ColumnProfile, ColumnProfile]]:
    ours = {column.name: column for column in new.columns if column.num_rows}
    theirs = {column.name: column for column in reference.columns if column.num_rows}
    return [(name, ours[name], theirs[name]) for name in columns if name in ours and name in theirs]


def _num_missing(column: ColumnProfile) -> int:
    return column.num_nulls + column.num_not_finite


def _share_missing(column: ColumnProfile) -> float:
    return _num_missing(column) / column.num_rows
