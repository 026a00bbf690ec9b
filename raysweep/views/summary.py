"""The final block: what was found, against what it stands, what it cost, and what to type next."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from shlex import quote
from types import MappingProxyType

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raysweep import certainty, leaking, untuned
from raysweep.baseline import WORDS as BASELINES
from raysweep.certainty import Certainty, Verdict
from raysweep.entries import BUDGET_USED, DEFAULT, REPLICA
from raysweep.errors import InputError
from raysweep.frames import SPLIT_WORDS, metric_names
from raysweep.gap import gap_of
from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.luck import luck_of
from raysweep.space import Params
from raysweep.state import SweepState, TrialState
from raysweep.views import winner
from raysweep.views.certainty import gap_sentence, luck_sentence, sentences
from raysweep.views.pace import counts, savings
from raysweep.views.rows import STYLES, metric_columns, top_rows
from raysweep.views.tables import Column, blocks
from raysweep.views.view import Setting
from raysweep.views.winner import tie_words
from raysweep.views.words import elapsed, money, one_line, param, tokens
from raysweep.winner import Ruling

TOP = 5
REASONS = 4
"""So many different reasons an outcome are told apart."""

_UNTUNED: Mapping[str, str] = MappingProxyType({"zero_shot": "zero-shot", "few_shot": "few-shot"})
_AS_NAMED = ("majority", "ridge", "commonest", "nearest")
_BASELINES: Mapping[str, str] = MappingProxyType({name: name for name in _AS_NAMED} | {"tfidf": "TF-IDF"})


def summary(state: SweepState, setting: Setting, width: int) -> RenderableType:
    """All that a person wants to know at the end of a sweep, or of a part of it."""
    if state.started is None:
        return Text("nothing was run")
    parts: list[RenderableType] = [Text(), *_head(state), *_notice(setting), Text()]
    if state.best:
        parts += [*_best(state, state.best, setting, width), Text(), *_top(state, setting, width), Text()]
    else:
        parts += [Text("no trial completed, so there is no best one", style="bold red"), Text()]
    parts += [*_outcomes(state, width), Text(), *_tokens(state, setting), *_places(state, setting)]
    return Group(*parts)


def _head(state: SweepState) -> Iterator[RenderableType]:
    if state.started is None:
        return
    n_open = sum(trial.can_go_on for trial in state.trials.values())
    over = sum(counts(state).values()) - sum(trial.can_go_on for trial in state.searched.values() if trial.ended)
    text = Text.assemble(("raysweep ", "dim"), (one_line(state.started.name), "bold"), f" {state.started.sweep_id}: ")
    text.append(f"{over} of {state.n_trials} trials ended")
    if state.ended:
        text.append(f" in {elapsed(state.elapsed_s(state.ended.at))}" + (f", {n_open} can go on" if n_open else ""))
        yield text
        text = Text(one_line(state.ended.reason), style="dim")
    yield text


def _notice(setting: Setting) -> Iterator[RenderableType]:
    if setting.notice:
        yield Text(setting.notice, style="bold yellow")


def _best(state: SweepState, best: TrialState, setting: Setting, width: int) -> Iterator[RenderableType]:
    found, problem = _certainty(state, best, setting)
    ruling = state.ruling(found)
    seeds = f", the mean over {ruling.winner.n_seeds} seeds" if ruling and ruling.winner.replicas else ""
    chosen = f"chosen by {state.goal.metric} ({state.goal.mode}){seeds}{tie_words(ruling)}"
    yield Text(f"Best: trial {best.number}, {chosen}", style="bold green")
    yield from _score_blocks(state, best, width)
    yield from [Text(problem, style="yellow")] if problem else _sure(state, found, setting)
    if ruling:
        yield from _seeds(ruling, state.goal.metric, width)
    if len(state.tested) > 1:
        words = f"the test split has scored {len(state.tested)} winners of this sweep, one after the other"
        yield Text(
            f"{words}: it is no longer quite unseen, and the best of them looks better than it is", style="yellow"
        )
    sampled = set(best.proposed.sampled)
    yield _params("searched ", {name: value for name, value in best.params.items() if name in sampled}, "cyan")
    yield _params("fixed    ", {name: value for name, value in best.params.items() if name not in sampled}, "dim")
    yield Text.assemble(("model    ", "dim"), (best.ended and best.ended.model) or "none kept")


def _certainty(state: SweepState, best: TrialState, setting: Setting) -> tuple[Certainty | None, str]:
    """What the test rows say; or why that cannot be read, in words."""
    try:
        return certainty.find(setting.folder, best.number, state.bare_metric, state.rivals), ""
    except InputError as error:
        return None, str(error)


def _sure(state: SweepState, found: Certainty | None, setting: Setting) -> Iterator[RenderableType]:
    for sentence, verdict in sentences(found, state.bare_metric) if found else ():
        yield Text(sentence, style="yellow" if verdict in (Verdict.TIE, Verdict.LOSES) else "")
    for leak in leaking.find(setting.folder):
        yield Text(leak.sentence, style="" if leak.is_left_out else "yellow")
    yield from (Text(sentence, style="dim") for sentence in untuned.sentences(untuned.find(setting.folder)))
    luck = luck_of(state, setting.folder)
    if luck:
        yield Text(luck_sentence(luck))
    gap = gap_of(state, found, luck)
    if gap:
        yield Text(gap_sentence(gap), style="" if gap.is_explained else "yellow")


def _seeds(ruling: Ruling, name: str, width: int) -> Iterator[RenderableType]:
    for sentence, needs_care in winner.sentences(ruling, name):
        yield Text(sentence, style="yellow" if needs_care else "")
    table = winner.rows(ruling)
    if table:
        cells = list(zip(*table, strict=True))
        columns = [Column(head, cells[place]) for place, head in enumerate(winner.HEAD)]
        yield from chain(*blocks(columns[0], columns[1:], width, ["green", *[""] * (len(table) - 1)]))


def _score_blocks(state: SweepState, best: TrialState, width: int) -> Iterator[RenderableType]:
    goal = Goal(_bare(state.goal.metric), state.goal.mode)
    scores = _scores(state, best)
    rows = tuple(scores.values())
    names = dict.fromkeys(_bare(name) for name in metric_names(best.evaluations, first=state.goal.metric))
    names |= dict.fromkeys(name for row in rows for name in row)
    had = tuple(name for name in names if any(row.get(name) is not None for row in rows))
    styles = ["green" if place == 0 else "" for place in range(len(rows))]
    key = Column("scores", tuple(scores), "left")
    yield from chain(*blocks(key, metric_columns(rows, had, goal), width, styles))
    names = dict.fromkeys(final.name for final in state.finals if final.name in _BASELINES)
    told = "; ".join(f"{_BASELINES[name]}: {BASELINES[name]}" for name in names)
    if told:
        yield Text(f"{told}; of the same training rows", style="dim")


def _scores(state: SweepState, best: TrialState) -> dict[str, Mapping[str, float | None]]:
    """Rows by name: the best trial's last evaluation, then what was scored after the search."""
    rows: dict[str, Mapping[str, float | None]] = {}
    if best.last:
        rows["validation"] = {_bare(name): value for name, value in best.last.metrics.items()}
    for final in (one for one in state.finals if one.name != REPLICA):
        of = "" if final.trial == best.number else f" #{final.trial}{' default' if final.name == DEFAULT else ''}"
        split = SPLIT_WORDS.get(final.split, final.split)
        known = {**_BASELINES, **_UNTUNED}
        name = f"{split} {known.get(final.name, final.name)}" if final.trial is None else split + of
        rows[name] = {metric.removeprefix(f"{final.split}_"): value for metric, value in final.metrics.items()}
    return rows


def _params(title: str, params: Params, style: str) -> Table:
    line = Table.grid()
    line.add_column(no_wrap=True)
    line.add_column(overflow="fold")
    told = " ".join(f"{name}={param(value)}" for name, value in params.items()) or "none"
    line.add_row(Text(title, style="dim"), Text(told, style=style))
    return line


def _bare(name: str) -> str:
    return name.removeprefix("val_")


def _top(state: SweepState, setting: Setting, width: int) -> Iterator[RenderableType]:
    top = state.ranked[:TOP]
    yield Text(f"Best {len(top)} of {len(state.ranked)} completed trials; metrics of the last evaluation", style="bold")
    yield from chain(*top_rows(top, state, setting, width))


def _outcomes(state: SweepState, width: int) -> Iterator[RenderableType]:
    yield Text("Trials", style="bold")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right")
    table.add_column()
    table.add_column(overflow="fold")
    for outcome, number in counts(state).items():
        reasons = _reasons(state, outcome)
        told = "; ".join(reason if times == 1 else f"{times} times {reason}" for reason, times in reasons[:REASONS])
        more = f"; and {len(reasons) - REASONS} more reasons" if len(reasons) > REASONS else ""
        table.add_row(str(number), Text(outcome, style=STYLES[outcome]), Text(told + more, style="dim"))
    again = [one for trial in state.trials.values() for one in trial.interruptions]
    if again:
        faults = Counter(one_line(one.words) for one in again).most_common(REASONS)
        told = "; ".join(reason if times == 1 else f"{times} times {reason}" for reason, times in faults)
        table.add_row(str(len(again)), Text("attempts interrupted", style="yellow"), Text(told, style="dim"))
    yield table


def _reasons(state: SweepState, outcome: Outcome) -> list[tuple[str, int]]:
    """Reasons and how often; a pruned trial's is where it was, for the numbers in the words differ."""
    trials = [trial for trial in state.searched.values() if trial.outcome is outcome]
    if outcome is Outcome.PRUNED:
        places = Counter(trial.last.epoch if trial.last else 0.0 for trial in trials)
        return [(f"at epoch {epoch:.3g}", number) for epoch, number in sorted(places.items())]
    return Counter(one_line(trial.ended.reason) for trial in trials if trial.ended and trial.ended.reason).most_common()


def _tokens(state: SweepState, setting: Setting) -> Iterator[RenderableType]:
    saved = savings(state, setting)
    text = Text(f"{tokens(saved.trained_tokens)} tokens trained")
    if saved.share:
        text.append(f"; stopping early saved {tokens(saved.saved_tokens)}, {saved.share:.0%} of full runs")
    yield text
    if state.spending.is_any:
        yield Text(_bill(state, setting, saved.usd))


def _bill(state: SweepState, setting: Setting, saved_usd: float) -> str:
    spending = state.spending
    of = "" if setting.max_usd is None else f" of {money(setting.max_usd)}"
    parts = [f"{money(spending.spent)}{of} USD spent"]
    parts += [f"{money(state.finals_usd)} of them to score the best"] if state.finals_usd else []
    parts += [f"{money(spending.reserved)} still reserved"] if spending.reserved else []
    parts += ["what is reserved for ended trials is settled by `raysweep reconcile`"] if state.owed else []
    parts += [f"stopping early saved about {money(saved_usd)} USD"] if saved_usd else []
    return "; ".join(parts)


def _places(state: SweepState, setting: Setting) -> Iterator[RenderableType]:
    folder = str(setting.folder)
    yield Text.assemble("results in ", (folder, "bold"), ": trials.parquet, evaluations.parquet, ledger.jsonl")
    yield Text()
    if any(trial.can_go_on for trial in state.trials.values()) or len(state.searched) < state.n_trials:
        is_used_up = state.ended is not None and state.ended.reason.startswith(BUDGET_USED)
        more = " budget.max_usd=MORE" if is_used_up else ""
        yield Text.assemble(("to go on  ", "dim"), f"raysweep resume {quote(folder)}{more}")
    yield Text.assemble(("next  ", "dim"), f"tensorboard --logdir {quote(folder + '/tensorboard')}")
    yield Text(f"      python -c 'import raysweep; print(raysweep.load(\"{folder}\").trials)'")
    yield from _left(state, quote(folder))


def _left(state: SweepState, folder: str) -> Iterator[RenderableType]:
    """The very last line: what goes on without a driver, and may cost money."""
    left = [trial for trial in state.trials.values() if trial.is_left and trial.job]
    if not left:
        return
    usd = sum(trial.account.open_usd or 0.0 for trial in left)
    cost = f"which cost money ({money(usd)} USD are reserved for them)" if usd else "which cost what it charges"
    then = f"to go on with them: raysweep resume {folder}; to cancel them: raysweep reconcile {folder} --cancel"
    yield Text()
    yield Text(f"left running at the host: {len(left)} {'job' if len(left) == 1 else 'jobs'}, {cost}; {then}", "bold")
