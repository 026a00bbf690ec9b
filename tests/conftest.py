"""Fixtures that several topics share; the rows and tasks are small and made here."""

import random

import pytest

from raysweep import environment

environment.prepare_for_ray()  # before any test imports Ray: it reads some variables then, and never again


@pytest.fixture(autouse=True)
def own_config_folder(tmp_path, monkeypatch):
    """What the user's own probes have measured is no part of a test; children inherit the variable."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def reviews_csv(tmp_path):
    """A CSV of 200 distinct rows, labels 1 to 5 in turn, columns text and stars."""
    dice = random.Random(0)
    words = ("soup", "waiter", "plot", "screen", "actor", "chair", "music", "price", "sound", "cover", "crowd", "light")
    lines = ["text,stars"]
    lines += [f"{' '.join(dice.choices(words, k=6))} number {row},{row % 5 + 1}" for row in range(200)]
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def synthetic(reviews_csv, tmp_path):
    """The settings of a small synthetic sweep, as a tree; change what a test is about."""
    return {
        "name": "test",
        "trainer": {"kind": "synthetic"},
        "task": {"kind": "rating", "labels": ["1", "2", "3", "4", "5"]},
        "data": {"source": str(reviews_csv), "prompt": "text", "completion": "stars"},
        "space": {"learning_rate": {"kind": "loguniform", "low": 1e-5, "high": 0.1}, "n_epochs": 2},
        "search": {"kind": "random"},
        "early_stopping": {"kind": "asha", "rungs": [0.5, 1.0], "eta": 2},
        "trials": 4,
        "concurrency": 2,
        "runs_folder": str(tmp_path / "runs"),
    }
