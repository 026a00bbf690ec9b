"""The winner's model card: what a hub reads (the front matter), and what a person does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import yaml

from raysweep.certainty import Certainty
from raysweep.config import SweepConfig
from raysweep.export.base import Base
from raysweep.gap import Gap
from raysweep.jobs import Outcome
from raysweep.scoring.intervals import Interval
from raysweep.state import SweepState, TrialState
from raysweep.views.certainty import between, gap_sentence, sentences
from raysweep.views.winner import sentences as by_seeds
from raysweep.views.words import metric, param
from raysweep.winner import Ruling

TYPES: Mapping[str, str] = {"f1_weighted": "f1", "f1_macro": "f1", "auroc": "roc_auc"}
"""What hubs call a metric, where that is not our name."""


@dataclass(frozen=True)
class Winner:
    """All that a card is made of."""

    name: str
    state: SweepState
    trial: TrialState
    certainty: Certainty | None
    gap: Gap | None
    config: SweepConfig | None
    base: Base | None
    """None where the model lives at a host."""
    model_id: str = ""
    """The host's name of the model; empty where its weights lie beside the card."""
    facts: Mapping[str, str] | None = None
    """More that is known of the model, for people."""

    @property
    def test_metrics(self) -> Mapping[str, float]:
        """On the test split, without its prefix; empty where that was neither scored nor kept row by row."""
        scored = [one for one in self.state.finals if one.trial == self.trial.number and one.split == "test"]
        told = {name.removeprefix("test_"): value for one in scored for name, value in one.metrics.items()}
        known = {name: interval.value for name, interval in self.intervals.items()}
        return known | {name: value for name, value in told.items() if value is not None}

    @property
    def intervals(self) -> Mapping[str, Interval]:
        """Of those test metrics that have one."""
        return self.certainty.intervals if self.certainty else {}

    @property
    def ruling(self) -> Ruling | None:
        """How its seeds stand."""
        return self.state.ruling(self.certainty)

    @property
    def writes(self) -> bool:
        """Whether it writes free text rather than labels."""
        return self.config is not None and self.config.task.kind == "generation"

    @property
    def fingerprint(self) -> str:
        """Of the rows."""
        return self.state.started.data_fingerprint if self.state.started else ""


def card(winner: Winner) -> str:
    """The whole README.md."""
    head = yaml.safe_dump(_front(winner), sort_keys=False, allow_unicode=True, width=100)
    return "---\n" + head + "---\n\n" + "\n".join(_lines(winner)) + "\n"


def _front(winner: Winner) -> dict[str, object]:
    front: dict[str, object] = {}
    if winner.base is not None:
        if winner.base.hub:
            front |= {"base_model": winner.base.hub, "base_model_relation": "adapter"}
        if winner.base.licence:
            front["license"] = winner.base.licence
        front["library_name"] = "peft"
    front |= {"pipeline_tag": _task(winner), "tags": ["raysweep", *(["lora"] if winner.base else [])]}
    results = _results(winner)
    return front | ({"model-index": [{"name": winner.name, "results": [results]}]} if results else {})


def _task(winner: Winner) -> str:
    """As hubs name it."""
    return "text-generation" if winner.writes else "text-classification"


def _results(winner: Winner) -> dict[str, object]:
    """The test metrics as hubs index them; an interval stands in the metric's name, for it has no place of its own."""
    metrics = [
        {"type": TYPES.get(name, name), "value": round(value, 6), "name": _named(name, winner.intervals.get(name))}
        for name, value in winner.test_metrics.items()
    ]
    title = winner.state.started.name if winner.state.started else winner.name
    dataset = {"name": title, "type": f"private-{winner.fingerprint}", "split": "test"}
    return {"task": {"type": _task(winner)}, "dataset": dataset, "metrics": metrics} if metrics else {}


def _named(name: str, interval: Interval | None) -> str:
    return f"{name} ({between(interval, name)})" if interval else name


def _lines(winner: Winner) -> Iterator[str]:
    state = winner.state
    yield from (f"# {winner.name}", "", *_about(winner), "", "## Scores", "")
    yield from _scores(winner)
    yield from ("", "## Hyperparameters", "", *_table(["param", "value"], _params(winner)))
    yield from ("", "## Data", "", *(f"- {line}" for line in _data(winner)))
    yield from ("", "## How to load it", "", *_loading(winner))
    yield from ("", "## Limits", "", *(f"- {line}" for line in _limits(winner)))
    made_by = state.started.raysweep_version if state.started else ""
    yield from ("", f"Made by raysweep {made_by}, sweep {state.sweep_id}, trial {winner.trial.number}.")


def _about(winner: Winner) -> Iterator[str]:
    tried = len(winner.state.searched)
    chosen = f"the best of {tried} trials by {winner.state.goal.metric} ({winner.state.goal.mode})"
    if winner.base is None:
        yield f"The model `{winner.model_id}` at its host, {chosen}. The weights are there; here is this card alone."
        return
    yield f"A LoRA adapter of {winner.base.name}, {chosen}."
    if winner.base.licence:
        yield f"The licence above ({winner.base.licence}) is the base model's; the training rows may have another."
    else:
        yield "The base model's licence is not known here: look it up before you publish this folder."


def _scores(winner: Winner) -> Iterator[str]:
    test, last = winner.test_metrics, winner.trial.last
    validation = {name.removeprefix("val_"): value for name, value in (last.metrics if last else {}).items()}
    rows = [
        [name, metric(name, test.get(name)), _span(name, winner.intervals), metric(name, validation.get(name))]
        for name in dict.fromkeys([winner.state.bare_metric, *test, *validation])
        if test.get(name) is not None or validation.get(name) is not None
    ]
    yield from _table(["metric", "test", "95 % interval", "validation"], rows)
    state, sure = winner.state, winner.certainty
    told = [sentence for sentence, _ in sentences(sure, state.bare_metric)] if sure else []
    told += [sentence for sentence, _ in by_seeds(winner.ruling, state.goal.metric)] if winner.ruling else []
    told += [gap_sentence(winner.gap)] if winner.gap else []
    yield from ("", *(f"- {sentence}" for sentence in told))


def _span(name: str, intervals: Mapping[str, Interval]) -> str:
    found = intervals.get(name)
    return f"{metric(name, found.low)} to {metric(name, found.high)}" if found else "-"


def _params(winner: Winner) -> list[list[str]]:
    sampled = set(winner.trial.proposed.sampled)
    return [
        [f"{name}{' (searched)' if name in sampled else ''}", f"`{param(value)}`"]
        for name, value in winner.trial.params.items()
    ]


def _data(winner: Winner) -> Iterator[str]:
    yield f"Fingerprint of rows and split: `{winner.fingerprint}`. The rows themselves are not in this folder."
    for name, value in (winner.facts or {}).items():
        yield f"{name}: {value}"
    if winner.certainty:
        rows = f"{winner.certainty.n_rows} test rows, which ranked no trial"
        chosen = f"; {winner.certainty.n_validation} validation rows chose" if winner.certainty.n_validation else ""
        yield f"{rows}{chosen}"


def _loading(winner: Winner) -> Iterator[str]:
    if winner.base is None:
        yield f"Ask the host for the model `{winner.model_id}`, with the prompts with which it was trained."
        return
    name = "plain_writing.txt" if winner.writes else "plain_loading.txt"
    snippet = files("raysweep.export").joinpath(name).read_text(encoding="utf-8").strip()
    yield from ("```python", snippet, "```", "")
    where = "is the base model's name on its hub" if winner.base.hub else "has to be set to the base model's folder"
    yield f"`base_model_path` in `raysweep_model.json` {where}; a local folder will do."


def _limits(winner: Winner) -> Iterator[str]:
    yield "It was tuned and scored on rows of one source. What it does on others, nobody has measured."
    if winner.writes:
        yield "Greedy texts were scored, and no others. Nobody has looked at what else it writes."
    else:
        yield "It knows the labels that it was trained on and no others, whatever a text is about."
    completed = sum(one.outcome is Outcome.COMPLETED for one in winner.state.searched.values())
    yield f"It was chosen by {_chosen_by(winner)} among {completed} completed trials, so that score flatters it."
    if not winner.test_metrics:
        yield "It was not scored on a test split: how much the validation score flatters it is not known."
    n_tested = len(winner.state.tested)
    if n_tested > 1:
        yield f"The test split has scored {n_tested} winners of this sweep: it is no longer quite unseen."
    if winner.base and winner.base.note:
        yield winner.base.note
    if winner.config and winner.config.rehearsal_words:
        yield winner.config.rehearsal_words


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


def _chosen_by(winner: Winner) -> str:
    ruling = winner.ruling
    if ruling is None or not ruling.winner.replicas:
        return "its validation score"
    n_seeds, mean = ruling.winner.n_seeds, metric(winner.state.goal.metric, ruling.winner.mean)
    return f"its mean validation score over {n_seeds} seeds, {mean}, of which this folder has one,"
