"""The page that shows what was packed, and what was left out and why."""

from __future__ import annotations

import numpy as np

from pipelines.llm.corpus.findings import length_bars, length_counts
from pipelines.llm.corpus.overlap import Outcome
from pipelines.llm.corpus.report import Figure, Histogram, Report, Table
from pipelines.llm.packing.manifest import PackedManifest
from pipelines.llm.sequences import TRAIN, VALIDATION
from pipelines.spec.model import LlmSpec


def packed_report(spec: LlmSpec, manifest: PackedManifest, found: Outcome, lengths: np.ndarray) -> Report:
    """Return the page's content."""
    train, validation = manifest.file(TRAIN), manifest.file(VALIDATION)
    words = spec.corpus.decontaminate_words
    left = manifest.left_out
    rate = f"{found.num_shuffled_matches:,} of {found.num_shuffled_runs:,} runs of shuffled training text"
    reasons = [
        (f"shares {words} words in a row with evaluation", f"{left.contaminated:,}"),
        ("roles out of order, or a duplicate that quality let pass", f"{left.unusable:,}"),
        ("piece of a cut conversation with nothing to learn", f"{left.without_answer:,}"),
    ]
    method = [
        ("texts that the model is evaluated on", f"{found.num_texts:,}"),
        (f"of them shorter than {words} words, which cannot be told", f"{found.num_short_texts:,}"),
        (f"different runs of {words} words in them", f"{found.num_runs:,}"),
        ("training conversations searched", f"{found.num_searched:,}"),
        ("that matched", f"{found.num_matched:,}"),
        ("matches confirmed word for word", f"{found.num_confirmed:,}"),
        ("matches by chance", rate),
    ]
    files = [
        (
            one.path,
            *(
                f"{number:,}"
                for number in (one.num_sequences, one.num_documents, one.num_tokens, one.num_answer_tokens)
            ),
            f"{100 * one.useful_share(manifest.sequence_length):.2f} %",
        )
        for one in manifest.files
    ]
    padded = float(lengths.sum() / (len(lengths) * manifest.sequence_length))
    examples = [(str(one.row), one.document, one.words) for one in found.examples]
    return Report(
        model=spec.name,
        subject="packed corpus",
        headline=f"{train.num_tokens:,} tokens in {train.num_sequences:,} sequences",
        text=f"Each of {manifest.sequence_length:,} tokens; documents in one sequence do not see each other.",
        figures=(
            Figure("conversations", f"{manifest.num_rows:,}", f"{manifest.num_cut:,} cut to fit"),
            Figure("answer tokens", f"{train.num_answer_tokens:,}", "the loss is on these"),
            Figure(
                "useful share",
                f"{100 * train.useful_share(manifest.sequence_length):.1f} %",
                f"padding each alone: {100 * padded:.1f} %",
            ),
            Figure(
                "validation",
                f"{validation.num_sequences:,} sequences",
                f"{manifest.num_validation_groups:,} groups that are not learnt",
            ),
            Figure("canaries", f"{sum(one.times for one in manifest.canaries):,}", "planted secrets"),
        ),
        histograms=(Histogram("Tokens of a packed document", length_bars(length_counts(lengths))),),
        tables=(
            Table("Files", "", ("file", "sequences", "documents", "tokens", "answer tokens", "useful"), files),
            Table("Left out", "", ("reason", "rows"), reasons),
            Table("Decontamination", "How it was found, and how often it errs.", ("", ""), method),
            Table("For example", "The words that are shared.", ("row", "document", "words"), examples),
        ),
    )
