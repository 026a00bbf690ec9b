"""From predictions to metrics, and how sure they are: one evaluator for every trainer, baseline and split."""

from raysweep.scoring.answers import UNREAD, Answers, Prediction, read
from raysweep.scoring.grading import call_grader, graded, grading_function
from raysweep.scoring.metrics import (
    F1_OF,
    METRICS,
    MetricDoc,
    answers_of,
    doc_of,
    metrics_of,
    score,
    shipped_metrics,
    shipped_scores,
)
from raysweep.scoring.own import call_own, own_function, own_scores
from raysweep.scoring.texts import OF_LIKELIHOOD, Texts, read_texts

__all__ = [
    "F1_OF",
    "METRICS",
    "OF_LIKELIHOOD",
    "UNREAD",
    "Answers",
    "MetricDoc",
    "Prediction",
    "Texts",
    "answers_of",
    "call_grader",
    "call_own",
    "doc_of",
    "graded",
    "grading_function",
    "metrics_of",
    "own_function",
    "own_scores",
    "read",
    "read_texts",
    "score",
    "shipped_metrics",
    "shipped_scores",
]
