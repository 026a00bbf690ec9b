"""What a person wants to know first, in plain words: the winner, how sure, the bill, and what to try next."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raysweep.baseline import WORDS as BASELINES
from raysweep.certainty import Verdict
from raysweep.entries import DEFAULT
from raysweep.frames import SPLIT_WORDS
from raysweep.report.advice import advice
from raysweep.report.answers import Answer, answers
from raysweep.report.importance import Importance, importance
from raysweep.report.record import Bill, FinalScore, Record, texts_of
from raysweep.report.statistics import Statistics, Threshold, tables
from raysweep.views import winner
from raysweep.views.certainty import gap_sentence, luck_sentence, sentences
from raysweep.views.winner import open_words, tie_words
from raysweep.views.words import about, metric, money, tokens

RIVALS = {**BASELINES, DEFAULT: "the default configuration"}
"""Whom a search has to beat, in words."""


@dataclass(frozen=True)
class Findings:
    """A record, and what was computed from it."""

    record: Record
    threshold: Threshold

    @cached_property
    def statistics(self) -> tuple[Statistics, ...]:
        """Of all trials, without the failed ones, of the completed ones."""
        return tables(self.record, self.threshold)

    @cached_property
    def importance(self) -> Importance:
        """How much each param matters."""
        return importance(self.record)

    @cached_property
    def answers(self) -> tuple[Answer, ...]:
        """Whether it could be a regression."""
        return answers(self.record)

    @cached_property
    def n_failed(self) -> int:
        """Trials without a sound score: failed, errored, or with a score beyond the threshold."""
        record = self.record
        broken = sum(outcome in ("failed", "errored") for outcome in record.outcomes)
        beyond = self.statistics[0].count - self.statistics[1].count if self._has_failed_scores else 0
        return broken + beyond

    @property
    def _has_failed_scores(self) -> bool:
        return len(self.statistics) > 1 and self.statistics[1].of == "without failed trials"

    @property
    def winner(self) -> str:
        """One sentence."""
        record = self.record
        if record.best is None:
            if record.is_running:
                return "No trial has completed yet."
            return "No trial completed with a score, so there is no winner."
        number = record.trials["trial"].iloc[record.best]
        score = metric(record.goal.metric, float(record.scores[record.best]))
        so_far = " so far" if record.is_running else ""
        if record.ruling and record.ruling.winner.replicas:
            won = record.ruling.winner
            score = f"{metric(record.goal.metric, won.mean)}, the mean over {won.n_seeds} seeds"
        sentence = f"Trial {number} is the best{so_far}: {record.goal.metric} {score}{tie_words(record.ruling)}."
        sentence += open_words(record.ruling, record.goal.metric)
        return f"{sentence} {self._rebuke}" if self._rebuke else sentence

    @property
    def _rebuke(self) -> str:
        """Where it is no better than what needs no fine-tune or no search, by the test rows; empty else."""
        found = self.record.certainty
        if found is None:
            return ""
        rivals = [one for one in found.comparisons if one.trial is None or one.name == DEFAULT]
        judged = {one.name: one.verdict(one.judged_by(found.metric)) for one in rivals}
        if lost := [name for name, verdict in judged.items() if verdict is Verdict.LOSES]:
            return f"But on the test rows it loses to {_listed(lost)}."
        if tied := [name for name, verdict in judged.items() if verdict is Verdict.TIE]:
            return f"But on the test rows it is not shown to be better than {_listed(tied)}."
        return ""

    @property
    def winner_params(self) -> dict[str, str]:
        """The winner's value of every param that varied."""
        record = self.record
        if record.best is None:
            return {}
        values = {param.name: texts_of(record.trials, param.column)[record.best] for param in record.params}
        return {name: _short(value) for name, value in values.items() if value}

    @cached_property
    def sure(self) -> tuple[str, ...]:
        """How sure the winner is."""
        return tuple(_sure(self.record))

    @property
    def bill(self) -> tuple[str, ...]:
        """What it took, and what stopping saved."""
        sweep = self.record.sweep
        if sweep is None:
            return ("The table does not say what the trials cost.",)
        return tuple(_bill(sweep.bill, sweep.elapsed_s, self.record.outcomes.count("pruned")))

    @cached_property
    def next_steps(self) -> tuple[str, ...]:
        """What to try next."""
        return tuple(advice(self.record, self.importance, n_failed=self.n_failed))

    @property
    def counts(self) -> str:
        """How many trials ended how."""
        record = self.record
        order = ("completed", "pruned", "failed", "errored", "cancelled", "running")
        parts = [f"{record.outcomes.count(name)} {name}" for name in order if name in record.outcomes]
        planned = f" of {record.sweep.n_planned}" if record.sweep else ""
        return f"{len(record.trials)}{planned} trials: {', '.join(parts) or 'none yet'}"


def _sure(record: Record) -> Iterator[str]:
    yield from record.leaks
    if record.certainty:
        yield from (sentence for sentence, _ in sentences(record.certainty, record.goal.bare))
    if record.ruling:
        yield from (sentence for sentence, _ in winner.sentences(record.ruling, record.goal.metric))
    if record.luck:
        yield luck_sentence(record.luck)
    if record.gap:
        yield gap_sentence(record.gap)
    yield from record.untuned
    finals = record.sweep.finals if record.sweep else ()
    if record.certainty is None:  # else the tables say it, with intervals
        yield from _finals(record, finals)
    if record.best is None:
        return
    ruling = record.ruling
    if not ruling or (ruling.winner.trial == ruling.first and not ruling.winner.replicas):  # else the seeds say more
        yield from _lead(record)
    if not record.luck and all(final.trial is None for final in finals):
        yield (
            "No rows that ranked no trial have scored the winner: the best of many looks better than it is, "
            "and how much better is not known here."
        )


def _finals(record: Record, finals: tuple[FinalScore, ...]) -> Iterator[str]:
    bare = record.goal.bare
    for final in finals:
        value = final.metrics.get(f"{final.split}_{bare}")
        if value is None:
            continue
        who = _baseline(final.name) if final.trial is None else f"Trial {final.trial}"
        split = SPLIT_WORDS.get(final.split, final.split)
        unseen = ", which ranked no trial" if final.split == "test" and final.trial is not None else ""
        yield f"{who} on the {split} split{unseen}: {bare} {metric(bare, value)}."


def _baseline(name: str) -> str:
    words = BASELINES.get(name, name)
    return words[:1].upper() + words[1:]


def _lead(record: Record) -> Iterator[str]:
    completed = np.sort(record.scores[record.is_completed] * record.goal.loss(1.0))
    if completed.size == 1:
        yield "It is the only completed trial: there is nothing to compare it with."
        return
    lead = float(completed[1] - completed[0])
    if lead == 0:
        others = int((completed == completed[0]).sum()) - 1
        words = f"{others} other completed {'trial has' if others == 1 else 'trials have'} the same score"
        yield f"{words}: that it stands first is chance."
        return
    spread = float(completed.std(ddof=1))
    yield (
        f"It leads the second best of {completed.size} completed trials by {metric('', lead)}; "
        f"their scores spread by {metric('', spread)} (standard deviation)."
    )


def _bill(bill: Bill, elapsed_s: float, n_pruned: int) -> Iterator[str]:
    yield f"{tokens(bill.trained_tokens)} tokens trained in {about(elapsed_s)}."
    if bill.saved_share:
        share = f"{bill.saved_share:.0%} of what full trials take"
        yield f"Stopping poor trials early saved {tokens(bill.saved_tokens)} tokens, {share}."
    elif n_pruned:
        stopped = "1 trial was" if n_pruned == 1 else f"{n_pruned} trials were"
        yield f"{stopped} stopped early; how many tokens that has saved is not known."
    else:
        yield "Stopping early saved nothing: no trial was stopped at a rung."
    if bill.spent_usd is None:
        return
    of = "" if bill.max_usd is None else f" of a budget of {money(bill.max_usd)}"
    saved = f"; stopping saved about {money(bill.saved_usd)} USD" if bill.saved_usd else ""
    yield f"{money(bill.spent_usd)} USD spent{of}{saved}."


def _listed(names: list[str]) -> str:
    words = [RIVALS.get(name, name) for name in names]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _short(value: str) -> str:
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value
