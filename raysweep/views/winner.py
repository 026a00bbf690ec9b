"""Who has won by the winner's rule, and how the seeds stand, in sentences: the same in the terminal and in a report."""

from collections.abc import Iterator, Sequence

from raysweep.views.words import NOTHING, metric
from raysweep.winner import Configuration, Ruling

HEAD = ("trial", "chosen with", "mean over its seeds", "seeds", "on test, mean over its seeds")
"""Of the table of replicas."""


def sentences(ruling: Ruling, name: str) -> Iterator[tuple[str, bool]]:
    """What the replicas say of the winner, and whether the default configuration is it; `name` is the objective.

    With each, whether a person should take care.
    """
    winner = ruling.winner
    if winner.replicas:
        yield f"Over {winner.n_seeds} seeds, trial {winner.trial} has {name} {_mean(winner)} on validation.", False
    if ruling.first != winner.trial:
        yield f"{_unseated(ruling.foremost, name)}.", True
    if ruling.tied:
        yield f"A tie: another seed may put {_listed(ruling.order, ruling.tied)} before it.", True
    elif ruling.compared:
        others = " and ".join(f"trial {trial}" for trial in ruling.compared)
        yield f"Its lead over {others} is more than other seeds would give (95 %).", False
    if winner.n_failed and not winner.replicas:
        yield f"Every configuration that was repeated failed with another seed; trial {winner.trial} too.", True
    if ruling.is_default and ruling.unrepeated is None:
        yield "It is the default configuration: the search has found nothing better.", True


def tie_words(ruling: Ruling | None) -> str:
    """The trials with which the winner ties, to be put behind its name; empty where it stands alone."""
    if ruling is None or not ruling.ties:
        return ""
    return f"; a tie with trial {' and trial '.join(map(str, ruling.ties))}"


def open_words(ruling: Ruling | None, name: str) -> str:
    """What may still unseat the winner, as a sentence behind its name; empty for nothing."""
    one = ruling.unrepeated if ruling else None
    if one is None:
        return ""
    return f" Trial {one.trial} scored {metric(name, one.chosen)} with a single seed, and was not repeated yet."


def rows(ruling: Ruling | None) -> list[list[str]]:
    """A row a configuration that was repeated, the winner first; none where none was."""
    repeated = [one for one in ruling.order if one.replicas or one.n_failed] if ruling else []
    return [
        [str(one.trial), metric("", one.chosen), _mean(one), _seeds(one), _over(one.tested) or NOTHING]
        for one in repeated
    ]


def _mean(one: Configuration) -> str:
    return _over((one.chosen, *one.replicas))


def _over(values: Sequence[float]) -> str:
    """A mean and its spread."""
    found = Configuration(0, values[0], tuple(values[1:])) if values else None
    if found is None:
        return ""
    return metric("", found.mean) + (f" ± {metric('', found.spread)}" if found.spread is not None else "")


def _seeds(one: Configuration) -> str:
    return str(one.n_seeds) + (f", and {one.n_failed} failed" if one.n_failed else "")


def _unseated(first: Configuration, name: str) -> str:
    had = f"Trial {first.trial} had the best single score, {name} {metric(name, first.chosen)}"
    if first.n_failed:
        return f"{had}, but failed with another seed"
    if not first.replicas:
        return f"{had}, but no second seed of it has a score yet: it stands behind those that have one"
    return f"{had}, but other seeds have unseated it: {_mean(first)}"


def _listed(among: Sequence[Configuration], trials: Sequence[int]) -> str:
    return " or ".join(f"trial {one.trial} ({_mean(one)})" for one in among if one.trial in trials)
