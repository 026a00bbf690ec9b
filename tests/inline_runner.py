"""A runner without Ray and without processes: trials step in turn, in this thread; and one that dies half-way."""

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path

from raysweep.config.load import parse
from raysweep.errors import Fault, JobFailed
from raysweep.search.history import Done, Wait
from raysweep.sweep import Options, run_sweep
from raysweep.trainers import make_trainer
from raysweep.tuning.report import Report
from raysweep.tuning.runner import Cluster


class Died(BaseException):  # nothing may catch it, as nothing catches SIGKILL
    """The driver is gone, from one instruction to the next."""


class InlineRunner:
    """Steps all live trials in turn; `n_steps` later the driver dies, `on_step` is called before each."""

    def __init__(self, n_steps=None, on_step=lambda driver: None, die=None):
        self.n_steps, self.on_step, self.concurrency = n_steps, on_step, None
        self.die = die or self._raise

    def _raise(self):
        raise Died

    def joined(self):
        return nullcontext(Cluster("this thread", 2.0, 0.0, None))

    def run_trials(self, driver, static, resources, *, shown, concurrency, ticker):
        self.concurrency = concurrency
        live = {}
        while not driver.is_over():
            answer = driver.suggest()
            while not isinstance(answer, Wait | Done):
                live[answer.trial] = (answer, None)
                answer = driver.suggest()
            if not live and isinstance(answer, Done):
                return
            for trial in list(live):
                self._step(driver, static, live, trial)
                ticker.tick()
                if driver.is_over():
                    break
        for _, job in live.values():
            if job is not None and not driver.is_leaving:
                job.cancel()

    def _step(self, driver, static, live, trial):
        spec, job = live[trial]
        if self.n_steps is not None:
            if self.n_steps == 0:
                self.die()
            self.n_steps -= 1
        self.on_step(driver)
        try:
            made = job or make_trainer(static.recipe).submit(spec, static.data)
            report = Report(made.id, "here", None if job is None else made.advance(5.0))
        except JobFailed as failure:
            made, report = job, Report(job.id if job else "", "here", failure=failure)
        except RuntimeError as error:
            made, report = job, Report("", "here", failure=JobFailed(str(error), Fault.HOST))
        live[trial] = (spec, made)
        if not driver.report(trial, report):
            if made is not None:
                made.cancel()
            del live[trial]

    def predict(self, static, resources, model, examples, *, ticker, is_stopped):
        return make_trainer(static.recipe).predict(model, examples)


if __name__ == "__main__":  # settings as JSON, folder, steps: a driver that really dies
    runner = InlineRunner(int(sys.argv[3]), die=lambda: os._exit(9))
    run_sweep(parse(json.loads(sys.argv[1]), "test"), Options(folder=Path(sys.argv[2]), runner=runner))
