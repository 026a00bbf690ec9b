"""Files in, checked examples out: what is read, and what is refused by line and rule."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from raysweep.dataset import DataSettings, Loaded, load
from raysweep.errors import DataError
from raysweep.rules import KEEPABLE, SETTINGS, Policy, Rule
from raysweep.task import Example, Message, Task, TaskKind

OPINION = Task(TaskKind.CLASSIFICATION, ("no", "yes"))
ROWS = [("I liked it", "yes"), ("I hated it", "no")]


def csv_file(path: Path, body: str | bytes) -> Path:
    path.write_bytes(b"prompt,completion\n" + (body.encode() if isinstance(body, str) else body))
    return path


def three(folder: Path, train: str | bytes) -> DataSettings:
    """Train as given, the other two of two good rows each."""
    return DataSettings(
        train=csv_file(folder / "train.csv", train),
        validation=csv_file(folder / "validation.csv", "held out good,yes\nheld out bad,no\n"),
        test=csv_file(folder / "test.csv", "unseen good,yes\nunseen bad,no\n"),
    )


def with_policies(settings: DataSettings, policies: dict[Rule, Policy], **changes: object) -> DataSettings:
    return DataSettings(**{**vars(settings), "policies": policies, **changes})


def problems(loaded: Loaded) -> list[tuple[int, str]]:
    return [(problem.line, str(problem.rule)) for problem in loaded.report]


def texts(examples: tuple[Example, ...]) -> list[str]:
    return [example.messages[-1].content for example in examples]


def test_csv_keeps_quotes_commas_and_newlines(tmp_path):
    settings = three(tmp_path, '"He said ""wow"",\nthen left",yes\nplain,no\n')

    splits = load(settings, OPINION).splits

    assert splits.train == (
        Example((Message("user", 'He said "wow",\nthen left'),), "yes"),
        Example((Message("user", "plain"),), "no"),
    )


def test_a_byte_order_mark_and_windows_line_ends_are_taken(tmp_path):
    settings = three(tmp_path, "")
    settings.train.write_bytes("\ufeffprompt,completion\r\nschön,yes\r\nnot,no\r\n".encode())

    assert texts(load(settings, OPINION).splits.train) == ["schön", "not"]


def test_the_three_kinds_of_file_give_the_same_examples(tmp_path):
    settings = three(tmp_path, "".join(f"{text},{label}\n" for text, label in ROWS))
    jsonl, parquet = tmp_path / "train.jsonl", tmp_path / "train.parquet"
    jsonl.write_text("\n\n".join(json.dumps({"prompt": text, "completion": label}) for text, label in ROWS))
    columns = {"prompt": [text for text, _ in ROWS], "completion": [label for _, label in ROWS]}
    pyarrow.parquet.write_table(pyarrow.table(columns), parquet)

    loaded = [load(with_policies(settings, {}, train=path), OPINION) for path in (settings.train, jsonl, parquet)]

    assert loaded[0].splits.fingerprint == loaded[1].splits.fingerprint == loaded[2].splits.fingerprint


def test_labels_that_are_numbers_read_alike_from_every_kind(tmp_path):
    settings = three(tmp_path, "")
    for path in (settings.validation, settings.test):
        csv_file(path, f"{path.stem} one,1\n{path.stem} two,2\n")
    parquet = tmp_path / "train.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"prompt": ["a", "b"], "completion": [1.0, 2.0]}), parquet)

    loaded = load(with_policies(settings, {}, train=parquet), TaskKind.RATING)

    assert loaded.task == Task(TaskKind.RATING, ("1", "2"), (1.0, 2.0))


def test_chat_messages_end_with_the_label(tmp_path):
    turns = [
        {"role": "system", "content": "judge"},
        {"role": "user", "content": "fine?"},
        {"role": "assistant", "content": " yes"},
    ]
    other = [{"role": "user", "content": "poor?"}, {"role": "assistant", "content": "no"}]
    for name in ("train", "validation", "test"):
        rows = [[{**turn, "content": f"{turn['content']}"} for turn in chat] for chat in (turns, other)]
        for row in rows:
            row[-2]["content"] += name
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"messages": row}) for row in rows))
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("train", "validation", "test")}

    splits = load(DataSettings(**paths, messages="messages"), OPINION).splits

    expected = Example((Message("system", "judge"), Message("user", "fine?train")), "yes", is_chat=True)
    assert splits.train[0] == expected


@pytest.mark.parametrize(
    ("messages", "rule", "detail"),
    [
        ([], "bad_messages", "needs a list of turns"),
        ("not json", "bad_messages", "not JSON"),
        ([{"role": "user", "content": "a"}], "bad_messages", "last turn must be the assistant's"),
        ([{"role": "tool", "content": "a"}], "bad_messages", "a turn needs a role"),
        ([{"role": "assistant", "content": "yes"}], "empty_prompt", "no user turn"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}], "unlabelled", "empty"),
    ],
)
def test_chat_messages_that_cannot_be_used_are_refused_by_line(tmp_path, messages, rule, detail):
    path = tmp_path / "chats.jsonl"
    path.write_text(json.dumps({"messages": messages}))

    with pytest.raises(DataError, match=rf"chats.jsonl line 1: {rule}: .*{detail}"):
        load(DataSettings(source=path, messages="messages"), OPINION)


BAD_ROWS = (
    b"fine,yes\n"  # line 2
    b"bad,no\n"
    b",yes\n"  # 4: empty prompt
    b'"two\nlines",\n'  # 5 and 6: unlabelled
    b"what,maybe\n"  # 7: unknown label
    b"caf\xe9,yes\n"  # 8: Latin-1
    b"one,two,yes\n"  # 9: a cell too many
    b"  FINE! ,no\n"  # 10: a duplicate of line 2
    b"held out: good,yes\n"  # 11: also in validation
    b"a b c d e f,no\n"  # 12: too long
)
FOUND = [
    (4, "empty_prompt"),
    (5, "unlabelled"),
    (7, "unknown_label"),
    (8, "bad_encoding"),
    (9, "broken_row"),
    (12, "too_long"),
    (10, "duplicate"),
    (11, "duplicate_across_splits"),
]


def test_every_problem_is_reported_by_line_and_rule_and_its_row_dropped(tmp_path):
    drop = dict.fromkeys(Rule, Policy.DROP)
    settings = with_policies(three(tmp_path, BAD_ROWS), drop, max_words=5)

    loaded = load(settings, OPINION)

    assert problems(loaded) == FOUND
    assert texts(loaded.splits.train) == ["fine", "bad"]


def test_all_problems_are_refused_together(tmp_path):
    settings = with_policies(three(tmp_path, BAD_ROWS), {}, max_words=5)

    with pytest.raises(DataError) as caught:
        load(settings, OPINION)

    message = str(caught.value)
    refused = [(line, rule) for line, rule in FOUND if rule != "duplicate"]
    assert message.startswith(f"data: {len(refused)} rows break a rule")
    assert all(f"train.csv line {line}: {rule}: " in message for line, rule in refused)


def test_of_many_problems_ten_are_shown_and_all_counted(tmp_path):
    settings = three(tmp_path, "fine,yes\nbad,no\n" + ",yes\n" * 25)

    with pytest.raises(DataError, match=r"25 rows break a rule \(empty_prompt 25\)(?s:.*)\.\.\. and 15 more") as caught:
        load(settings, OPINION)

    assert str(caught.value).count("empty_prompt: nothing") == 10
    assert str(caught.value).endswith("leave them out: data.empty: drop")


def test_a_broken_json_line_is_found_by_its_number(tmp_path):
    good = [json.dumps({"prompt": text, "completion": label}) for text, label in ROWS]
    path = tmp_path / "rows.jsonl"
    path.write_bytes("\n".join([*good, "", '{"prompt": ', "[1]", '{"prompt": "\\ud83d", "completion": "no"}']).encode())

    with pytest.raises(DataError) as caught:
        load(DataSettings(source=path), OPINION)

    assert "line 4: broken_row: not JSON" in str(caught.value)
    assert "line 5: broken_row: not a JSON object" in str(caught.value)
    assert "line 6: bad_encoding" in str(caught.value)


def test_a_quote_that_is_never_closed_is_found_where_it_opens(tmp_path):
    settings = three(tmp_path, 'fine,yes\nbad,no\n"oops,yes\nmore,no\n')

    with pytest.raises(DataError, match="line 4: broken_row: unexpected end of data"):
        load(settings, OPINION)


def test_text_that_is_not_utf8_in_parquet_is_found_by_row(tmp_path):
    binary = pyarrow.array([b"fine", b"caf\xe9"], type=pyarrow.binary())
    raw = pyarrow.Array.from_buffers(pyarrow.string(), 2, binary.buffers())
    path = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"prompt": raw, "completion": pyarrow.array(["yes", "no"])}), path)

    with pytest.raises(DataError, match=r"rows.parquet line 2: bad_encoding"):
        load(DataSettings(source=path), OPINION)


def test_duplicates_inside_a_split_are_kept_and_reported_unless_told(tmp_path):
    settings = three(tmp_path, "fine,yes\nbad,no\nFine!,yes\n")

    kept = load(settings, OPINION)
    dropped = load(with_policies(settings, {Rule.DUPLICATE: Policy.DROP}), OPINION)

    assert (len(kept.splits.train), problems(kept)) == (3, [(4, "duplicate")])
    assert (len(dropped.splits.train), problems(dropped)) == (2, [(4, "duplicate")])
    with pytest.raises(DataError, match="line 4: duplicate: the same text as line 2"):
        load(with_policies(settings, {Rule.DUPLICATE: Policy.REFUSE}), OPINION)


def test_texts_without_letters_are_not_all_duplicates_of_each_other(tmp_path):
    assert load(three(tmp_path, ":-),yes\n:-(,no\n"), OPINION).report == ()


def test_a_duplicate_across_splits_is_dropped_from_the_split_that_trains(tmp_path):
    settings = three(tmp_path, "fine,yes\nbad,no\nUnseen... good,yes\n")

    loaded = load(with_policies(settings, {Rule.DUPLICATE_ACROSS_SPLITS: Policy.DROP}), OPINION)

    assert texts(loaded.splits.train) == ["fine", "bad"]
    assert texts(loaded.splits.test) == ["unseen good", "unseen bad"]


def test_a_duplicate_across_validation_and_test_is_refused(tmp_path):
    settings = three(tmp_path, "fine,yes\nbad,no\n")
    csv_file(settings.validation, "good,yes\nUnseen bad,no\n")

    with pytest.raises(DataError, match=r"validation.csv line 3: duplicate_across_splits: .* as test.csv line 3"):
        load(settings, OPINION)


def test_a_group_in_two_files_is_refused(tmp_path):
    paths = {}
    for name, author in (("train", "ann"), ("validation", "bob"), ("test", "ann")):
        paths[name] = tmp_path / f"{name}.csv"
        paths[name].write_text(f"prompt,completion,author\n{name} a,yes,{author}\n{name} b,no,\n")

    with pytest.raises(
        DataError, match=r"train.csv line 2: group_across_splits: the same group 'ann' as test.csv line 2"
    ):
        load(DataSettings(**paths, group="author"), OPINION)


def test_tokens_are_counted_where_a_way_to_count_is_given(tmp_path):
    settings = with_policies(three(tmp_path, "fine,yes\nbad,no\n"), {Rule.TOO_LONG: Policy.KEEP}, max_tokens=3)

    assert load(settings, OPINION).report == ()
    assert problems(load(settings, OPINION, n_tokens=len))[0] == (2, "too_long")


def test_a_policy_cannot_keep_what_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match=r"data.unlabelled: keep is not possible"):
        load(with_policies(three(tmp_path, "fine,yes\n"), {Rule.UNLABELLED: Policy.KEEP}), OPINION)


def test_every_rule_has_a_setting():
    assert set(SETTINGS) == set(Rule)
    assert set(Rule) > KEEPABLE


def test_a_missing_column_is_refused_with_the_nearest_name(tmp_path):
    settings = with_policies(three(tmp_path, "fine,yes\n"), {}, completion="Completions")

    with pytest.raises(DataError, match=r"no column 'Completions' \(data.completion\); did you mean 'completion'\?"):
        load(settings, OPINION)


def test_a_file_of_chats_read_as_pairs_is_told_so(tmp_path):
    path = tmp_path / "chats.jsonl"
    path.write_text('{"messages": []}')

    with pytest.raises(DataError, match=r"set data.messages to 'messages'"):
        load(DataSettings(source=path), OPINION)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", b"", "first line must name the columns|holds no rows"),
        ("rows.csv", b"prompt,completion\n", "holds no rows"),
        ("rows.csv", b"a,a\n1,2\n", "two columns are called 'a'"),
        ("rows.csv", "prompt,completion\na,yes\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("rows.jsonl", b"\n", "holds no rows"),
        ("rows.jsonl", b"prompt,completion\na,yes\n", "line 1: not JSON"),
        ("rows.parquet", b"prompt,completion\na,yes\n", "is not a Parquet file"),
        ("rows.xlsx", b"", "unknown kind of file '.xlsx'; known: .csv"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_path(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(DataError, match=rf"{name}: .*(?:{message})"):
        load(DataSettings(source=path), OPINION)


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path):
    (tmp_path / "reviews.csv").touch()

    with pytest.raises(DataError, match=r"review.csv: no such file; did you mean 'reviews.csv'\?"):
        load(DataSettings(source=tmp_path / "review.csv"), OPINION)


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "rows.csv").mkdir()

    with pytest.raises(DataError, match="cannot be read"):
        load(DataSettings(source=tmp_path / "rows.csv"), OPINION)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no train, validation, test"),
        ({"train": Path("a.csv"), "test": Path("b.csv")}, "no validation"),
        ({"source": Path("a.csv"), "test": Path("b.csv")}, "both source and test"),
    ],
)
def test_files_that_make_no_three_splits_are_refused(given, message):
    with pytest.raises(DataError, match=message):
        load(DataSettings(**given), OPINION)


def test_a_label_missing_from_a_split_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match="the train split has no row labelled 'no' among its 1"):
        load(three(tmp_path, "fine,yes\n"), OPINION)


def test_a_column_of_free_text_is_no_set_of_labels(tmp_path):
    settings = DataSettings(source=csv_file(tmp_path / "rows.csv", "".join(f"t{i},label {i}\n" for i in range(60))))

    with pytest.raises(DataError, match="hold 60 different labels"):
        load(with_policies(settings, {}, stratify=False, sizes=(0.8, 0.1, 0.1)), TaskKind.CLASSIFICATION)


def test_two_spellings_of_one_number_are_no_rating(tmp_path):
    path = csv_file(tmp_path / "rows.csv", "".join(f"t{i},{label}\n" for i, label in enumerate(["1", "1.0", "2"] * 9)))

    with pytest.raises(DataError, match=r"labels found, .*'1', '1\.0', '2'.*ascending"):
        load(DataSettings(source=path), TaskKind.RATING)


def test_the_fingerprint_knows_every_row_and_its_split(tmp_path):
    settings = three(tmp_path, "fine,yes\nbad,no\n")
    swapped = with_policies(settings, {}, validation=settings.test, test=settings.validation)
    first = load(settings, OPINION).splits.fingerprint
    other = load(swapped, OPINION).splits.fingerprint
    csv_file(settings.train, "fine,yes\nbad.,no\n")
    changed = load(settings, OPINION).splits.fingerprint

    assert len({first, other, changed}) == 3
    assert len(first) == 16
    assert int(first, 16) >= 0


def test_the_fingerprint_is_the_same_on_every_machine(tmp_path):
    assert load(three(tmp_path, "fine,yes\nbad,no\n"), OPINION).splits.fingerprint == "f077094ac5cb5271"


def test_reading_the_module_loads_no_heavy_library():
    code = "import sys, raysweep.dataset, raysweep.scoring, raysweep.baseline; "
    code += "print([m for m in ('pandas', 'pyarrow', 'sklearn', 'torch', 'ray', 'hyperopt') if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
