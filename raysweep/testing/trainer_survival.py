"""The part of a trainer's suite that is about deaths: whoever takes a job up loses nothing, and tells nothing twice."""

import random
import time
from dataclasses import replace

import pytest

from raysweep.jobs import Evaluation, Progress
from raysweep.testing.trainer_case import TrainerCase
from raysweep.testing.trainer_worker import Worker

MAX_KILLS = 100


class TrainerSurvival(TrainerCase):
    """Jobs that are dropped, killed, or robbed of their folder."""

    def test_a_job_goes_on_in_another_process_from_what_is_on_record(self) -> None:
        """Dropped after each evaluation, taken up by a new trainer: the rest of the curve, and nothing twice."""
        whole = self.undisturbed()

        for n_told in range(1, len(whole.evaluations) + 1):
            for n_known in (n_told, n_told - 1):
                spec = self.spec(f"after{n_told}knows{n_known}")
                self.assert_same(whole.evaluations[:n_told], self.run(spec, n_told).evaluations)
                rest = self.run(self.taken_up(spec, 1, n_known))
                self.assert_same(whole.evaluations[n_known:], rest.evaluations)
                assert rest.end.model

    def test_a_job_that_is_done_is_final_at_once(self) -> None:
        """In the first look, with its model, once every evaluation is on record."""
        spec = self.spec("job")
        end = self.run(spec).end

        again = self.submit(self.taken_up(spec, 1, len(spec.evaluate_at))).advance(self.look_s)

        assert replace(end, evaluation=None) == again

    def test_a_lost_folder_costs_time_but_no_evaluation_is_told_twice(self) -> None:
        """A further attempt with nothing to go on from makes again what is on record, and keeps it to itself."""
        whole = self.undisturbed()
        anew = replace(self.spec("lost"), attempt=2, n_evaluations=1)

        self.assert_same(whole.evaluations[1:], self.run(anew).evaluations)

    def test_killed_after_every_progress_a_job_loses_nothing(self) -> None:
        """Each further process goes on at least from where the dead one was when it last told of itself."""
        whole, spec = self.undisturbed(), self.spec("job")
        told: list[Evaluation] = []
        last = Progress(0.0, 0)

        for attempt in range(1, MAX_KILLS + 1):
            with self.worker(self.taken_up(spec, attempt, len(told))) as worker:
                last = self.moved(worker, last)
            told += [last.evaluation] if last.evaluation else []
            if last.is_final:
                break

        assert last.model
        self.assert_same(whole.evaluations, told)

    @pytest.mark.parametrize("seed", [0, 1])
    def test_killed_at_random_times_a_job_loses_nothing(self, seed: int) -> None:
        """Nor where the last words of the dead process are lost on their way."""
        begun_s = time.monotonic()
        whole, spec = self.undisturbed(), self.spec("job")
        span_s, dice = time.monotonic() - begun_s, random.Random(seed)
        told: list[Evaluation] = []

        for attempt in range(1, self.n_random_kills + 1):
            with self.worker(self.taken_up(spec, attempt, len(told))) as worker:
                time.sleep(dice.uniform(0, span_s / 2))
                worker.kill()
                heard = [one.evaluation for one in worker.rest() if one.evaluation]
            told += heard[:-1] if dice.random() < 0.5 else heard

        rest = self.run(self.taken_up(spec, self.n_random_kills, len(told)))
        assert rest.end.model
        self.assert_same(whole.evaluations, [*told, *rest.evaluations])

    def moved(self, worker: Worker, last: Progress) -> Progress:
        """The first that goes beyond the last one that was told; a job that waits for its folder is nowhere yet."""
        until_s = time.monotonic() + self.patience_s
        while time.monotonic() < until_s:
            now = worker.progress(self.patience_s)
            assert now is not None, "the process died by itself"
            assert now.epoch == 0 or now.epoch >= last.epoch, "work that was told of is done again"
            if now.epoch > last.epoch or now.evaluation or now.is_final:
                return now
        raise AssertionError(f"no progress within {self.patience_s:g} s, each look being at most {self.look_s:g} s")
