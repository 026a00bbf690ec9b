"""What all rows begin with is read once, and the answers are those of rows that are read whole."""

import pytest
import torch
from engine_toys import TASK, WORDS, save_toy_model

from raysweep.engine import untuned
from raysweep.engine.answer import Answerer
from raysweep.engine.batches import Collator, by_length
from raysweep.engine.family import Family
from raysweep.engine.loop import predict_rows
from raysweep.engine.model import Placement, load_backbone
from raysweep.engine.params import Loss
from raysweep.engine.primed import Primed, primed
from raysweep.engine.tokens import Rows

SINGLE, LONGER = ((2,), (3,), (4,)), ((2, 7), (2, 8, 9), (4,))


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = save_toy_model(tmp_path_factory.mktemp("causal"), "causal", max_position_embeddings=256)
    return load_backbone(folder, Family.CAUSAL, Placement(torch.device("cpu"), torch.float32))


def rows(words, *, n_shared=60, n_rows=40):
    """Rows of several lengths behind the same beginning."""
    dice = torch.Generator().manual_seed(3)
    beginning = torch.randint(2, len(WORDS), (n_shared,), generator=dice)
    ends = [torch.randint(2, len(WORDS), (1 + number % 9,), generator=dice) for number in range(n_rows)]
    ends[0][0], ends[1][0] = 2, 3  # no token more is common to all
    ids = torch.cat([part for end in ends for part in (beginning, end)])
    return Rows(ids, torch.tensor([n_shared + len(end) for end in ends]), torch.zeros(n_rows, dtype=torch.int64), words)


def answers(backbone, these):
    answerer = Answerer(backbone, TASK, Loss.CROSS_ENTROPY, these.words)
    return torch.tensor([said.probabilities for said in predict_rows(answerer, Collator(these), lambda: None)])


@pytest.mark.parametrize("words", [SINGLE, LONGER])
def test_rows_behind_a_common_beginning_are_answered_as_whole_ones(backbone, words):
    whole = rows(words)

    going_on, rest = primed(backbone, whole)

    assert isinstance(going_on, Primed)
    assert (whole.lengths - 60).tolist() == rest.lengths.tolist()
    assert len(by_length(rest.lengths, 0)) < len(by_length(whole.lengths, 0))
    assert torch.allclose(answers(backbone, whole), answers(going_on, rest), atol=1e-5)


@pytest.mark.parametrize("these", [rows(SINGLE, n_shared=20), rows(SINGLE, n_rows=2, n_shared=0)])
def test_a_short_beginning_is_read_with_every_row(backbone, these):
    assert (backbone, these) == primed(backbone, these)


def test_rows_that_are_all_alike_keep_a_token_each(backbone):
    alike = Rows(torch.arange(2, 14).repeat(8), torch.tensor([48, 48]), torch.zeros(2, dtype=torch.int64), SINGLE)

    _, rest = primed(backbone, alike)

    assert [1, 1] == rest.lengths.tolist()


def test_a_model_that_forgets_what_it_has_read_reads_every_row_whole(backbone, monkeypatch):
    whole = rows(SINGLE)
    monkeypatch.setattr(
        Primed, "hidden", lambda self, batch, mask, positions=None: backbone.hidden(batch, mask, positions)
    )

    _, used = untuned._labelling(backbone, TASK, whole)

    assert used is whole
