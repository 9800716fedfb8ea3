"""Quotes in CSV and TSV: no text is changed and no two rows become one without being counted."""

import csv
import io
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_stages.data.csv_rows import csv_rows
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.failure import RowRejected, StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import rows_in, spec_of


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


def prepare(storage: Storage, name: str, text: str, **members: object) -> StageResult:
    storage.mount.mkdir(parents=True, exist_ok=True)
    (storage.mount / name).write_bytes(text.encode())
    members = {"prompt_column": "q", "response_column": "a", **members}
    program = PrepareProgram.model_validate({"source": Source(path=name), "holdout": 0, **members})
    return run(spec_of(program, uuid.uuid4().hex), storage)


def pairs(storage: Storage, result: StageResult) -> list[tuple[str, str | None]]:
    return [(row["prompt"][-1]["content"], row["reference"]) for row in rows_in(storage, result.outputs["train"])]


OTHERS = "".join(f"q{number}\ta{number}\n" for number in range(5))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize(
    "row",
    [
        'who said it?\t"No" was the answer\n',
        '"No" was the answer\twho said it?\n',
        'first\t"She said \\"hi\\" and left"\n',
        'first\t"\\"hi\\""\n',
        'first\t"open "" and\nclosed" too early\n',
        'first\t"closed" \n',
    ],
)
def test_a_quote_that_is_not_one_costs_its_row_alone(storage: Storage, name: str, row: str) -> None:
    text = "q\ta\n" + row + OTHERS
    result = prepare(storage, name, text if name == "a.tsv" else text.replace("\t", ","))
    assert pairs(storage, result) == [(f"q{number}", f"a{number}") for number in range(5)]
    assert result.counts["rejected.BrokenCsv"] == 1


def test_the_message_says_where_the_quote_is(storage: Storage) -> None:
    with pytest.raises(StageError) as caught:
        prepare(storage, "a.csv", "q,a\n" + 'x,"No" was it\n' * 5)
    assert caught.value.reason.name == "MostRowsRejected"
    assert "a.csv, line 2: text follows" in caught.value.message and "in quotes" in caught.value.message


def test_rows_that_one_open_quote_has_joined_are_no_row(storage: Storage) -> None:
    joined = 'What is 2+2?\t"four\nWhat is 3+3?\tsix\nand 5?\tfive"\n'
    result = prepare(storage, "a.tsv", "q\ta\n" + joined + OTHERS)
    assert pairs(storage, result) == [(f"q{number}", f"a{number}") for number in range(5)]
    assert result.counts["rejected.BrokenCsv"] == 1


def test_a_header_that_can_not_be_read_is_final(storage: Storage) -> None:
    with pytest.raises(StageError, match=r"a\.csv .*line 1: text follows the quote") as caught:
        prepare(storage, "a.csv", '"q" or prompt,a\nx,y\n')
    assert caught.value.reason.name == "UnreadableDataset"


KEPT = [
    ("a.csv", 'a 5" pipe,6" and 7"\n', ('a 5" pipe', '6" and 7"')),
    ("a.tsv", 'a 5" pipe\tis "wide"\n', ('a 5" pipe', 'is "wide"')),
    ("a.csv", 'x,"She said ""hi"" and left"\n', ("x", 'She said "hi" and left')),
    ("a.csv", 'x,"first, line\n\nsecond, ""line"""\n', ("x", 'first, line\n\nsecond, "line"')),
    ("a.csv", 'x,"four\nWhat, so?\nfive, six"\n', ("x", "four\nWhat, so?\nfive, six")),
    ("a.csv", 'x,"back \\ slash\\"\n', ("x", "back \\ slash\\")),
    ("a.csv", "x,it's 'so'\n", ("x", "it's 'so'")),
    ("a.csv", 'x,"a\r\nb"\r\n', ("x", "a\r\nb")),
    ("a.tsv", 'x\t"def f():\n\treturn 1"\n', ("x", "def f():\n\treturn 1")),
    ("a.tsv", 'x\t"name\tage\nAnn\t5\nBob\t7"\n', ("x", "name\tage\nAnn\t5\nBob\t7")),
    ("a.tsv", '"x\ny"\t"four\nfive"\n', ("x\ny", "four\nfive")),
    ("a.tsv", 'x\t"one\ttab"\n', ("x", "one\ttab")),
]


@pytest.mark.parametrize(("name", "row", "expected"), KEPT)
def test_quotes_that_can_be_told_are_read(storage: Storage, name: str, row: str, expected: tuple[str, str]) -> None:
    header = "q,a\n" if name == "a.csv" else "q\ta\n"
    result = prepare(storage, name, header + row)
    assert pairs(storage, result) == [expected]
    assert not any(count.startswith("rejected") for count in result.counts)


def test_a_column_that_is_read_has_its_name_alone(storage: Storage) -> None:
    with pytest.raises(StageError) as caught:
        prepare(storage, "a.csv", "q,a,a\nfirst,one,two\n")
    assert caught.value.reason.name == "UnreadableDataset"
    assert "a.csv" in caught.value.message and "2 columns named 'a'" in caught.value.message


def test_columns_that_nobody_reads_may_share_a_name(storage: Storage) -> None:
    """Spreadsheets leave empty columns behind."""
    result = prepare(storage, "a.csv", "q,a,,,note,note\nfirst,one,,,x,y\n")
    assert pairs(storage, result) == [("first", "one")]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"))


@given(rows=st.lists(st.tuples(cells, cells), max_size=5), separator=st.sampled_from(",\t"), quote_all=st.booleans())
def test_what_a_writer_has_quoted_is_read_as_it_was(
    rows: list[tuple[str, str]], separator: str, quote_all: bool
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL)
    writer.writerows([("q", "a"), *rows])
    read = list(csv_rows(io.BytesIO(text.getvalue().encode()), separator, None))
    for found, row in zip(read, rows, strict=True):
        if isinstance(found, RowRejected):
            assert separator == "\t" and any("\t" in cell and "\n" in cell for cell in row)
        else:
            assert (found["q"], found["a"]) == row
