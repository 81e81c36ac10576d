from __future__ import annotations

from pipelines.data.quality.findings import Finding
from pipelines.data.quality.outcome import check_results, refused_reasons, shortened, with_quarantine
from pipelines.data.quality.suite import check_names
from pipelines.spec.quality import ExpectationSpec, Quality


def between(column: str, **kwargs: object) -> ExpectationSpec:
    return ExpectationSpec(
        type="expect_column_values_to_be_between", kwargs={"column": column, "min_value": 0, **kwargs}
    )


MEAN = ExpectationSpec(type="expect_column_mean_to_be_between", kwargs={"column": "a", "max_value": 3})


def reasons(quality: Quality, findings: list[Finding], num_bad: int) -> list[str]:
    checks = check_results(quality, check_names(quality), findings, ["a", "b"])
    return [reason.text for reason in refused_reasons(quality, checks, findings, num_bad, 1000)]


def test_the_worst_check_comes_first_measured_from_its_own_bound() -> None:
    quality = Quality(expectations=(MEAN, between("a", mostly=0.9), between("b")), max_quarantined_share=1.0)
    findings = [
        Finding("failed", observed=7.25),
        Finding("failed", num_bad=110, num_judged=1000),
        Finding("failed", num_bad=50, num_judged=1000),
    ]
    assert reasons(quality, findings, 160) == [
        "values_to_be_between(b): 50 of 1,000 rows are bad (5 %), at most 0 % may be",
        "values_to_be_between(a): 110 of 1,000 rows are bad (11 %), at most 10 % may be",
        "mean_to_be_between(a) is 7.25, must be at most 3",
    ]


def test_the_models_budget_is_inclusive_and_stands_before_the_checks() -> None:
    quality = Quality(expectations=(between("a", mostly=0.5),), max_quarantined_share=0.05)
    passed = [Finding("passed", num_bad=50, num_judged=1000)]

    assert reasons(quality, passed, 50) == []
    assert reasons(quality, passed, 51) == ["51 of 1,000 rows are bad (5.1 %), at most 5 % may be"]


def test_a_warning_refuses_nothing() -> None:
    warning = between("a").model_copy(update={"severity": "warning"})

    assert reasons(Quality(expectations=(warning,)), [Finding("failed", num_bad=9, num_judged=9)], 0) == []


def test_examples_stand_with_the_check_that_called_them_bad() -> None:
    quality = Quality(expectations=(between("a"),), max_quarantined_share=1.0)
    findings = [Finding("failed", num_bad=1, num_judged=9)]
    checks = check_results(quality, check_names(quality), findings, ["a"])
    [reason] = refused_reasons(quality, checks, findings, 1, 9)

    assert reason.with_examples({"values_to_be_between(a)": [{"a": -1, "id": 7}, {"a": -2, "id": 8}]}).endswith(
        "at most 0 % may be, such as a=-1, id=7 | a=-2, id=8"
    )


def test_counts_that_differ_make_a_critical_check_broken_and_name_both() -> None:
    quality = Quality(expectations=(between("a"), between("b").model_copy(update={"severity": "warning"}), MEAN))
    findings = [
        Finding("failed", num_bad=1200, num_judged=5000),
        Finding("failed", num_bad=5, num_judged=9),
        Finding("passed"),
    ]
    names = check_names(quality)
    found = with_quarantine(quality, names, findings, {"values_to_be_between(a)": 1199})

    assert [finding.status for finding in found] == ["broken", "failed", "passed"]
    assert found[0].reason == "Great Expectations counted 1,200 bad rows, quarantine holds 1,199"
    assert with_quarantine(quality, names, findings, {"values_to_be_between(a)": 1200}) == findings


def test_a_column_that_is_not_there_is_named_with_its_nearest_match_and_those_that_are() -> None:
    quality = Quality(expectations=(between("distnce"),))
    broken = [Finding("broken", reason="whatever Great Expectations says")]
    [check] = check_results(quality, check_names(quality), broken, ["distance", "hour"])

    assert check.observed == "no column is named 'distnce'; did you mean 'distance'? One of: distance, hour"


def test_a_message_names_the_model_and_five_checks_and_counts_the_rest() -> None:
    assert shortened([str(number) for number in range(6)]) == "0; 1; 2; 3; 4; 5"
    assert shortened([str(number) for number in range(9)]) == "0; 1; 2; 3; 4; 5; and 3 more"
