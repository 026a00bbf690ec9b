"""What `raysweep check` says of a sweep that has not run: data, space, rungs, and what the model will see."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from rich.markup import escape

from raysweep.clock import RealClock
from raysweep.config import SweepConfig
from raysweep.dimensions import Params, describe
from raysweep.jobs import JobSpec, TokenView
from raysweep.paying import with_budget
from raysweep.plan import budget_epochs, evaluation_points
from raysweep.preflight import Ready, make_ready
from raysweep.rules import RowProblem, Rule
from raysweep.task import Example, Task

N_PREVIEWED = 3
N_PROBLEMS = 10


def findings(config: SweepConfig) -> Iterator[str]:
    """Lines with rich's markup; nothing is run and nothing written. Raises InputError for what would be refused."""
    ready = make_ready(config)
    if config.budget.max_usd is not None:
        with_budget(ready)
    data = ready.trainer.prepare(ready.loaded.splits)
    default = ready.complete(ready.space.default())
    pruner = ready.make_pruner()
    points = evaluation_points(config, pruner, default)
    spec = JobSpec("check", 0, 1, default, config.seed, config.runs_folder, points)
    estimate = ready.trainer.estimate(spec, data)
    tokens = estimate.trained_tokens
    goal = f"{config.goal.mode} {config.goal.metric}"
    trials = f"{config.trials} trials{_replicas(config)}"
    yield f"[bold]{escape(config.name)}[/bold]: {trials}, {config.search.kind} search, {goal}"
    yield from _data(ready)
    yield "[bold]space[/bold]"
    yield from (f"  {name}: {escape(describe(dimension))}" for name, dimension in config.space.items())
    yield from (f"[bold]warm start[/bold] {escape(note)}" for note in ready.earlier.notes)
    rungs = ", ".join(f"{rung:g}" for rung in pruner.rungs_for(budget_epochs(default))) or "none"
    yield f"[bold]rungs[/bold] at epochs {rungs}; evaluations at {', '.join(f'{point:g}' for point in points)}"
    money = "" if estimate.usd is None else f", {estimate.usd:.2f} USD each"
    yield f"[bold]at most[/bold] {tokens:,} training tokens a trial of the default params{money}"
    yield from (f"[yellow]{escape(warning)}[/yellow]" for warning in estimate.warnings)
    if ready.config.rehearsal_words:
        yield f"[bold yellow]{escape(config.rehearsal_words)}[/bold yellow]"
        yield from (f"[bold]prices[/bold] {escape(line)}" for line in estimate.prices)
    yield from ready.facts_words(RealClock().now())
    yield from _preview(ready, default)
    if config.budget.max_usd is None:
        with_budget(ready)  # last: the rest is worth seeing before anybody says what may be spent
    yield "[green]ready[/green]: nothing was run"


def _replicas(config: SweepConfig) -> str:
    n_replicas = min(config.final.top, config.trials) * config.final.replicas
    return f", then {n_replicas} {'replica' if n_replicas == 1 else 'replicas'} of the best" if n_replicas else ""


def _data(ready: Ready) -> Iterator[str]:
    splits = ready.loaded.splits
    yield f"[bold]data[/bold] fingerprint {splits.fingerprint}"
    for name, examples in (("train", splits.train), ("validation", splits.validation), ("test", splits.test)):
        yield f"  {name}: {len(examples):,} rows ({_completions(ready.task, examples)})"
    problems = ready.loaded.report
    for rule, count in Counter(problem.rule for problem in problems).items():
        yield f"  [yellow]{count} rows: {rule}[/yellow], of which"
        yield from (f"    {escape(str(problem))}" for problem in _first(problems, rule))


def _completions(task: Task, examples: Sequence[Example]) -> str:
    counts = Counter(example.label for example in examples)
    if task.writing is None:
        return ", ".join(f"{escape(label)}: {counts[label]}" for label in task.labels)
    lengths = [len(example.label.split()) for example in examples]
    return (
        f"{len(counts):,} different texts of {min(lengths)} to {max(lengths)} words, {median(lengths):g} at the middle"
    )


def _first(problems: Sequence[RowProblem], rule: Rule) -> Sequence[RowProblem]:
    return [problem for problem in problems if problem.rule is rule][:N_PROBLEMS]


def _preview(ready: Ready, default: Params) -> Iterator[str]:
    rows = ready.trainer.preview(default, ready.loaded.splits.train, N_PREVIEWED)
    if any(token.is_trained for row in rows for token in row):
        yield "[bold]rows as the model sees them[/bold]: the loss is taken on [reverse]«these»[/reverse] tokens only"
    elif rows:
        yield "[bold]rows as the model sees them[/bold]: a head answers for the whole row, so no token has a loss"
    for row in rows:
        yield "  " + " ".join(_token(token) for token in row)


def _token(token: TokenView) -> str:
    text = escape(token.text.replace("\n", "⏎"))
    return f"[reverse]«{text}»[/reverse]" if token.is_trained else f"[dim]{text}[/dim]"
