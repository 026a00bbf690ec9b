"""The suite that a trainer passes before a sweep may trust it: subclass it in a test module, and give it a trainer.

    class TestMine(TrainerConformance):
        def make_trainer(self) -> Trainer:
            return MyTrainer(host=self.folder / "host")

`pytest.register_assert_rewrite("raysweep.testing.trainers", "raysweep.testing.trainer_survival",
"raysweep.testing.trainer_case")` before the import shows values in failures.
"""

import pickle
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from raysweep.abilities import Leaves
from raysweep.dimensions import ParamValue
from raysweep.errors import Fault, InputError, JobFailed
from raysweep.jobs import JobView, ParamDoc, Progress
from raysweep.testing.trainer_survival import TrainerSurvival


class TrainerConformance(TrainerSurvival):
    """Every promise of `Trainer` and `Job` that a sweep leans on, each as one test."""

    def test_describe_touches_nothing_and_documents_every_param(self) -> None:
        """Defaults within their own ranges, help for each."""
        before = sorted(self.folder.rglob("*"))

        first, second = self.capabilities(), self.capabilities()

        assert first == second
        assert before == sorted(self.folder.rglob("*"))
        assert first.metrics
        for name, doc in first.params.items():
            assert doc.help, f"{name} has no help"
            assert _is_allowed(doc.default, doc), f"the default of {name} is out of its range"

    def test_what_travels_to_other_processes_can_be_pickled(self) -> None:
        """The recipe of a trainer, the prepared data, a spec, a progress."""
        trainer = self.make_trainer()
        spec, data = self.spec("job"), self.data(trainer)
        progress = trainer.submit(spec, data).advance(self.patience_s)

        again = pickle.loads(pickle.dumps((self.make_trainer, data, spec, progress)))

        assert again[0]().describe() == trainer.describe()
        assert again[1:] == (data, spec, progress)

    def test_an_estimate_is_made_before_anything_is_spent(self) -> None:
        """Tokens of a whole job; money or None."""
        trainer = self.make_trainer()
        spec, data = self.spec("job"), self.data(trainer)

        estimate = trainer.estimate(spec, data)

        assert estimate.trained_tokens > 0
        assert estimate.usd is None or estimate.usd >= 0
        assert list(trainer.jobs(spec.sweep_id)) == []

    def test_evaluations_come_where_they_were_asked_for_each_once(self) -> None:
        """With metrics that `describe` has promised, and counts that never fall."""
        spec, takes = self.spec("job"), self.capabilities()
        promised = takes.metrics | takes.final_metrics

        told = self.run(spec).evaluations

        assert list(spec.evaluate_at) == [one.epoch for one in told]
        assert all(one.metrics and one.metrics.keys() <= promised for one in told)
        for count in ([one.examples for one in told], [one.trained_tokens for one in told]):
            assert sorted(count) == count
            assert count[0] > 0

    def test_the_end_holds_a_model_and_stays_the_end(self) -> None:
        """However often one looks, and whoever cancels afterwards."""
        job = self.submit(self.spec("job"))
        end = self.follow(job).end

        job.cancel()
        again = [job.advance(self.look_s) for _ in range(2)]

        assert end.model
        assert [replace(end, evaluation=None)] * 2 == again

    def test_a_model_predicts_one_answer_an_example(self) -> None:
        """Probabilities, where there are any, one a label, with the sum 1."""
        model = self.run(self.spec("job")).end.model or ""

        predictions = self.make_trainer().predict(model, self.splits.test)

        assert len(self.splits.test) == len(predictions)
        for one in predictions:
            assert one.probabilities is not None or one.value is not None or one.text is not None
            if one.probabilities is not None:
                assert len(self.task.labels) == len(one.probabilities)
                assert sum(one.probabilities) == pytest.approx(1.0, abs=1e-5)

    def test_params_that_cannot_be_are_refused_as_the_params_fault(self) -> None:
        """Out of range or of another type, at submit or soon after."""
        wrong = [*_impossible(self.capabilities().params)]

        assert wrong, "no param has a range, so no search can be kept within one"
        for place, (name, value) in enumerate(wrong):
            with pytest.raises((JobFailed, InputError)) as caught:
                self.run(replace(self.spec(f"wrong{place}"), params={**self.spec("wrong").params, name: value}), 1)
            assert not isinstance(caught.value, JobFailed) or caught.value.fault is Fault.PARAMS, f"{name}: {value}"

    def test_submit_twice_gives_the_same_job(self) -> None:
        """At a host there is one; in a folder only one is at work, and the other waits."""
        trainer, spec = self.make_trainer(), self.spec("job")
        data, takes = self.data(trainer), self.capabilities()

        first = trainer.submit(spec, data)
        begun = first.advance(self.look_s)
        second = trainer.submit(spec, data)

        assert first.id == second.id
        if takes.has_host:
            assert [(spec.key, first.id)] == [(view.key, view.id) for view in self.listed(spec.sweep_id)]
            self.assert_same(self.follow(second).evaluations, self.undisturbed().evaluations)
        else:
            for _ in range(5):
                waited = second.advance(self.look_s)
                assert (waited.evaluation, waited.is_final) == (None, False)
            told = [begun.evaluation] if begun.evaluation else []
            self.assert_same(self.undisturbed().evaluations, [*told, *self.follow(first).evaluations])

    def test_a_cancel_reaches_a_busy_job_from_any_thread(self) -> None:
        """Within a bound; as often as one likes; what it has come to is told, not raised."""
        job = self.submit(self.spec("busy", (self.busy_epochs,)))
        job.advance(self.look_s)
        told: list[Progress] = []
        busy = threading.Thread(target=lambda: told.append(job.advance(self.patience_s)), daemon=True)
        busy.start()
        time.sleep(0.2)

        begun_s = time.monotonic()
        job.cancel()
        job.cancel()
        busy.join(self.cancel_s)

        assert not busy.is_alive()
        assert [one.is_final for one in told] == [False]
        job.advance(self.patience_s)
        assert time.monotonic() - begun_s < self.cancel_s

    def test_a_left_job_goes_on_and_whoever_takes_it_up_has_the_rest_of_it(self) -> None:
        """A busy watcher comes back promptly. Only of jobs that can be left in good order."""
        spec = self.spec("job")
        job = self.submit(spec)
        if not isinstance(job, Leaves):
            return
        job.advance(self.look_s)
        busy = threading.Thread(target=lambda: job.advance(self.patience_s), daemon=True)
        busy.start()

        job.leave()
        job.leave()
        busy.join(self.cancel_s)

        assert not busy.is_alive()
        self.assert_same(self.undisturbed().evaluations, self.run(spec).evaluations)
        assert [(spec.key, job.id)] == [(view.key, view.id) for view in self.listed(spec.sweep_id)]

    def test_the_host_lists_and_cancels_jobs_for_whoever_asks(self) -> None:
        """A local trainer lists none, and cancels none by name."""
        spec = self.spec("busy", (self.busy_epochs,))
        job, other = self.submit(spec), self.make_trainer()
        job.advance(self.look_s)
        listed = self.listed(spec.sweep_id)

        other.cancel(job.id)
        other.cancel(job.id)
        other.cancel("no-such-job")

        assert self.listed("nosweep0") == []
        if self.capabilities().has_host:
            assert [JobView(spec.key, job.id, is_final=False)] == listed
            assert [JobView(spec.key, job.id, is_final=True)] == self.listed(spec.sweep_id)
            for one in (job, self.submit(spec)):
                with pytest.raises(JobFailed) as caught:
                    self.follow(one)
                assert caught.value.fault is Fault.HOST
        else:
            assert listed == []
            assert not job.advance(self.look_s).is_final
            job.cancel()

    def test_a_cancel_after_the_end_changes_nothing(self) -> None:
        """By the job or by its name."""
        spec, trainer = self.spec("job"), self.make_trainer()
        job = trainer.submit(spec, self.data(trainer))
        end, listed = self.follow(job).end, self.listed(spec.sweep_id)

        job.cancel()
        trainer.cancel(job.id)

        assert listed == self.listed(spec.sweep_id)
        assert all(view.is_final for view in listed)
        assert end.model == self.run(self.taken_up(spec, 1, len(spec.evaluate_at))).end.model


def _is_allowed(value: ParamValue, doc: ParamDoc) -> bool:
    if doc.values:
        return value in doc.values
    if isinstance(value, int | float):
        return (doc.low is None or value >= doc.low) and (doc.high is None or value <= doc.high)
    return True


def _impossible(params: Mapping[str, ParamDoc]) -> Iterator[tuple[str, ParamValue]]:
    for name, doc in params.items():
        if doc.low is not None:
            yield name, doc.low - 1
        if doc.high is not None:
            yield name, doc.high * 2 + 1
            yield name, "high"
        if doc.values:
            yield name, "no such value"
