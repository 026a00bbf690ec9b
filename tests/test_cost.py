"""What hosts charge, and that tokens are counted too high rather than too low."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.cost import NAMES, Prices, Usage, prices_of, setting_of, table
from raysweep.errors import ConfigError
from raysweep.server.chatfile import n_tokens, read_chats
from raysweep.task import Example, Message, Prompt, Task, TaskKind
from raysweep.trainers.wire_bill import TOKENS_A_MESSAGE, Bill, most_scoring, most_tokens, most_training_tokens
from raysweep.trainers.wire_data import chat_file

MINI = "gpt-4.1-mini-2025-04-14"
TASK = Task(TaskKind.RATING, ("1", "2", "3"))
ENGLISH = (
    "The soup was lukewarm and the waiter, who seemed to be new, forgot our second order twice. Still, the view over "
    "the harbour made up for it: we stayed until they closed and will probably come back in the autumn of 2027."
)
NO_PRICES = dict.fromkeys(NAMES)


def prices(host="openai", model=MINI, *, is_paid=True, tier="", **given):
    return prices_of(host, model, tier=tier, given=NO_PRICES | given, is_paid=is_paid)


def test_every_row_has_a_date_a_source_and_only_prices_that_exist():
    assert table()
    for row in table():
        assert date(2026, 1, 1) <= row.as_of <= date(2026, 12, 31)
        assert row.source
        assert set(row.prices) <= set(NAMES)
        assert all(price >= 0 for price in row.prices.values())


def test_a_job_costs_tokens_times_price():
    found = prices()

    assert (5.0, 0.8, 3.2, 0.0) == (found.training, found.input, found.output, found.hosting)
    assert found.usd(Usage(trained_tokens=400_000)) == pytest.approx(2.0)
    assert found.usd(Usage(input_tokens=1e6, output_tokens=1e5)) == pytest.approx(0.8 + 0.32)
    assert "as of 2026-11-23, OpenAI" in found.words[0]


def test_a_model_made_by_a_fine_tune_costs_what_its_base_does():
    assert prices(model=f"ft:{MINI}:acme::BvT3kQ9a") == prices()


@pytest.mark.parametrize(("host", "model"), [("openai", "gpt-9"), ("nebius", "llama"), ("custom", MINI)])
def test_a_price_that_nobody_knows_is_refused_with_the_setting_that_gives_it(host, model):
    with pytest.raises(ConfigError, match="nothing is taken for free") as caught:
        prices(host, model)

    assert model in str(caught.value)
    assert f"{setting_of('training')}=…" in str(caught.value)


def test_what_is_given_counts_before_the_table():
    found = prices(training=7.5)

    assert (7.5, 0.8) == (found.training, found.input)
    assert "training 7.5 USD a million tokens: as given" in found.words[0]
    assert not any("training 5" in line for line in found.words)


@pytest.mark.parametrize(("tier", "an_hour"), [("developertier", 0.0), ("standard", 1.7), ("GlobalStandard", 1.7)])
def test_azure_charges_hosting_by_tier_and_its_tokens_must_be_given(tier, an_hour):
    with pytest.raises(ConfigError, match=r"\(training, input, output\)"):
        prices("azure", tier=tier)

    assert an_hour == prices("azure", tier=tier, training=5, input=0.4, output=1.6).hosting


def test_our_own_server_costs_nothing_unless_prices_are_given():
    assert prices("raysweep", is_paid=False) is None
    assert prices("raysweep", is_paid=False, training=5) == Prices(
        5.0, 0.0, 0.0, 0.0, ("training 5 USD a million tokens: as given in trainer.prices",)
    )


def test_a_bill_is_what_the_host_says_it_trained_and_else_what_was_reserved():
    bill = Bill(prices(), tokens_per_epoch=100_000, n_epochs=3, scoring=Usage(input_tokens=1e6))

    assert bill.at_most_usd == pytest.approx(1.5 + 0.8)
    assert bill.training_usd(1) == pytest.approx(0.5)
    assert bill.training_usd(7) == pytest.approx(1.5)
    assert bill.whole_usd(240_000) == pytest.approx(1.2 + 0.8)
    assert bill.whole_usd(None) == bill.at_most_usd
    assert bill.so_far_usd(1, is_known=True) == pytest.approx(0.5)
    assert bill.so_far_usd(1, is_known=False) == bill.at_most_usd


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80))
def test_no_text_has_more_tokens_at_our_server_than_we_count(text):
    assert n_tokens((("user", text),)) <= most_tokens(text) + TOKENS_A_MESSAGE


def examples(n=30):
    return tuple(Example((Message("user", f"{ENGLISH} Number {row}."),), str(row % 3 + 1)) for row in range(n))


def test_a_training_file_is_counted_above_what_the_server_bills_but_not_far():
    prompt = Prompt(template="Rate this review from 1 to 3.\n\n{prompt}", system="You are a critic.")

    billed = read_chats(chat_file(examples(), prompt, TASK).content).n_tokens
    counted = most_training_tokens(examples(), prompt, TASK)

    assert billed <= counted <= 1.8 * billed  # the server counts whole words, real vocabularies cut some


def test_a_deployment_is_reckoned_with_an_hour_at_least():
    usage = most_scoring(examples(), Prompt(), TASK, tokens_per_minute=1000, is_deployed=True)
    free = most_scoring(examples(), Prompt(), TASK, tokens_per_minute=1000, is_deployed=False)

    assert free.hosting_h == 0
    assert usage.hosting_h == pytest.approx(1 + (usage.input_tokens + usage.output_tokens) / 60_000)
    assert usage.input_tokens > 30 * len(ENGLISH.split())


@pytest.mark.assets
def test_a_real_vocabulary_makes_fewer_tokens_of_real_rows_than_we_count():
    from raysweep import assets
    from raysweep.readers import read_table

    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(assets.path("smollm2-135m"), local_files_only=True)
    texts = [str(record.fields["text"]) for record in read_table(assets.path("review-snippets")).records[:500]]

    real = sum(len(tokenizer(text)["input_ids"]) for text in texts)
    counted = sum(most_tokens(text) for text in texts)

    assert real <= counted <= 1.7 * real
