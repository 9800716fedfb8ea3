"""Prompts that are written in several columns: what a template makes of rows, and what is refused, and when."""

import json
import time
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from distillation_api.contract import PrepareProgram, Source, StageResult
from distillation_stages.data import prompt_template
from distillation_stages.data.prompt_template import PromptTemplate
from distillation_stages.programs.prepare import run
from distillation_stages.runtime.cpu_time import CpuTimeExceeded, cpu_time_limit
from distillation_stages.runtime.failure import RowRejected, StageError
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import rows_in, spec_of, system, user, write_lines

CASES = Path(__file__).parent / "cases"
ALPACA = "{{ instruction }}{% if input %}\n\n{{ input }}{% endif %}"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def prepare(storage: Storage, rows: list[object] | None, **members: object) -> StageResult:
    """Run the program over the rows as JSONL, or over what lies at ``path`` already."""
    path = members.pop("path", "data.jsonl")
    if rows is not None:
        write_lines(storage.at("data.jsonl"), rows)
    program = PrepareProgram.model_validate({"source": Source(path=str(path)), "holdout": 0, **members})
    return run(spec_of(program, uuid.uuid4().hex), storage)


def prompts(storage: Storage, result: StageResult) -> list[str]:
    return [row["prompt"][-1]["content"] for row in rows_in(storage, result.outputs["train"])]


def refusal(storage: Storage, rows: list[object], template: str, **members: object) -> StageError:
    with pytest.raises(StageError) as caught:
        prepare(storage, rows, prompt_template=template, **members)
    return caught.value


# What is rendered.


def test_a_question_in_two_columns_is_asked_whole(storage: Storage) -> None:
    """U04."""
    rows: list[object] = [*(CASES / "alpaca.jsonl").read_text().splitlines()]
    result = prepare(storage, rows, prompt_template=ALPACA, response_column="output")
    first, second, third = rows_in(storage, result.outputs["train"])
    assert first["prompt"] == [user("Sort the list.\n\n3, 1, 2")]
    assert second["prompt"] == [user("Sort the list.\n\n9, 7, 8")], "no duplicate: the inputs differ"
    assert (third["prompt"], third["reference"]) == ([user("Say hello.")], "Hello.")


@pytest.mark.parametrize(
    ("template", "row", "prompt"),
    [
        ("{{ a }}{% if b %} {{ b }}{% endif %}", {"a": "x", "b": None}, "x"),
        ("{{ a }}|{{ b }}|", {"a": "x", "b": None}, "x||"),
        ("{{ a }} of {{ b }}", {"a": 3, "b": 10**20}, "3 of " + "1" + "0" * 20),
        ("{{ a }}{% if b %} {{ b }}{% endif %}", {"a": "x", "b": 0}, "x"),
        ("{{ a }}{% if b is not none %} {{ b }}{% endif %}", {"a": "x", "b": 0}, "x 0"),
        ("{{ a | join(', ') }}", {"a": ["x", "y"]}, "x, y"),
        ("{{ a | tojson }}", {"a": {"b": ["<é>"]}}, '{"b": ["<é>"]}'),
        ("{{ a.text[0] }}", {"a": {"text": ["x"], "answer_start": [1]}}, "x"),
        ("{{ a | string }} {{ b | int }}", {"a": 0.5, "b": 42.0}, "0.5 42"),
        ("{{ 'yes' if a else 'no' }}", {"a": False}, "no"),
        ("{% for c in a %}{{ loop.index }}. {{ c }}\n{% endfor %}", {"a": ["x", "y"]}, "1. x\n2. y\n"),
        ("{{ a }}\n", {"a": "  x"}, "  x"),
        ("{{ a }}", {"a": "{{ a }} <b> & \u2028"}, "{{ a }} <b> & \u2028"),
        ("{% set n = a * 2 %}{{ n }}", {"a": 21}, "42"),
        ("{{ a }}{% if b is defined %} {{ b }}{% endif %}", {"a": "x"}, "x"),
        ("{{ a }} {{ b | default('-') }}", {"a": "x"}, "x -"),
        ("{{ dict }} {{ lipsum }}", {"dict": "a column", "lipsum": "another"}, "a column another"),
    ],
)
def test_a_row_is_rendered(storage: Storage, template: str, row: dict[str, object], prompt: str) -> None:
    result = prepare(storage, [row, {"a": 1, "b": 1, "dict": 1, "lipsum": 1}], prompt_template=template, limit=1)
    assert prompts(storage, result) == [prompt]


def test_parquet_and_json_lines_give_the_same(storage: Storage) -> None:
    rows: list[dict[str, object]] = [
        {"q": "Which?", "choices": ["x", "y"], "more": None},
        {"q": "Whose?", "choices": ["z"], "more": "Take your time."},
    ]
    template = "{{ q }}{% for choice in choices %}\n- {{ choice }}{% endfor %}{{ more }}"
    lines = prompts(storage, prepare(storage, [*rows], prompt_template=template))
    pq.write_table(pa.Table.from_pylist(rows), storage.at("data.parquet"))
    assert prompts(storage, prepare(storage, None, path="data.parquet", prompt_template=template)) == lines
    assert lines == ["Which?\n- x\n- y", "Whose?\n- zTake your time."]


def test_a_template_as_a_block_of_yaml_ends_without_its_newline(storage: Storage) -> None:
    text = "promptTemplate: |\n  {{ instruction }}\n  {%- if input %}\n\n  {{ input }}\n  {%- endif %}\n"
    rows: list[object] = [{"instruction": "Sort.", "input": "3, 1"}, {"instruction": "Hi.", "input": ""}]
    result = prepare(storage, rows, prompt_template=yaml.safe_load(text)["promptTemplate"])
    assert prompts(storage, result) == ["Sort.\n\n3, 1", "Hi."]


# The system column.


@pytest.mark.parametrize(
    ("text", "prompt"),
    [("Be kind.", [system("Be kind."), user("q")]), ("", [user("q")]), (" ", [user("q")]), (None, [user("q")])],
)
def test_a_system_column_stands_before_the_prompt_where_it_has_text(
    storage: Storage, text: str | None, prompt: list[object]
) -> None:
    for members in ({"prompt_column": "q"}, {"prompt_template": "{{ q }}"}, {"messages_column": "m"}):
        result = prepare(storage, [{"s": text, "q": "q", "m": [user("q")]}], system_column="s", **members)
        assert rows_in(storage, result.outputs["train"])[0]["prompt"] == prompt
        assert not [name for name in result.counts if name.startswith("converted.")]


def test_a_system_column_and_a_system_message_are_one_message(storage: Storage) -> None:
    result = prepare(storage, [{"s": "a", "m": [system("b"), user("q")]}], system_column="s", messages_column="m")
    assert rows_in(storage, result.outputs["train"])[0]["prompt"] == [system("a\n\nb"), user("q")]
    assert result.counts["converted.SystemMerged"] == 1


def test_a_system_column_that_is_no_text_rejects_the_row(storage: Storage) -> None:
    rows: list[object] = [{"s": number, "q": f"q{number}"} for number in (None, "x", 1)]
    assert prepare(storage, rows, system_column="s", prompt_column="q").counts["rejected.ContentNotText"] == 1


# What is left out.


@pytest.mark.parametrize(
    ("template", "row", "reason"),
    [
        ("{{ a }}", {"a": ["x"]}, "PromptTemplateFailed"),
        ("{{ a }}", {"a": {"x": "y"}}, "PromptTemplateFailed"),
        ("{{ a }}", {"a": 0.5}, "PromptTemplateFailed"),
        ("{{ a }}", {"a": True}, "PromptTemplateFailed"),
        ("{{ a }}", {"a": float("nan")}, "PromptTemplateFailed"),
        ("{{ a.b }}", {"a": {}}, "PromptTemplateFailed"),
        ("{{ a[0] }}", {"a": []}, "PromptTemplateFailed"),
        ("{{ a + 1 }}", {"a": "x"}, "PromptTemplateFailed"),
        ("{{ 1 // a }}", {"a": 0}, "PromptTemplateFailed"),
        ("{{ a.upper }}", {"a": "x"}, "PromptTemplateFailed"),
        ("{{ ''.__class__.__mro__ }}{{ a }}", {"a": "x"}, "PromptTemplateFailed"),
        ("{{ a.append('x') }}", {"a": []}, "PromptTemplateFailed"),
        ("{{ a.format(1) }}", {"a": "{0.__class__}"}, "PromptTemplateFailed"),
        ("{{ a }}{{ b }}", {"a": "x"}, "NoColumn"),
        ("{{ a }}", {"a": " "}, "EmptyContent"),
        ("{{ a }}", {"a": None}, "EmptyContent"),
        ("{{ a }}", {"a": "\ud800"}, "LoneSurrogate"),
        ("{% for n in range(10 ** 9) %}{{ a }}{% endfor %}", {"a": "x"}, "PromptTemplateFailed"),
        ("{% for n in range(1000000) %}{{ a }}{% endfor %}", {"a": "x"}, "PromptTemplateFailed"),
        ("{{ a * 1000000000 }}", {"a": "x"}, "PromptTemplateFailed"),
        ("{% for n in range(99999) %}{{ a }}{% endfor %}", {"a": "x" * 1000}, "PromptTemplateFailed"),
    ],
)
def test_a_row_that_cannot_be_rendered_is_counted_and_the_others_go_on(
    storage: Storage, template: str, row: dict[str, object], reason: str
) -> None:
    guarded = "{% if ok %}{{ ok }}{% else %}" + template + "{% endif %}"
    # "b" so that the dataset has the column.
    good = [{"ok": f"q{number}", "a": None, "b": "x"} for number in range(2)]
    result = prepare(storage, [{"ok": None, **row}, *good], prompt_template=guarded)
    assert (result.counts["kept"], result.counts[f"rejected.{reason}"]) == (2, 1)


def test_when_most_rows_fail_the_templates_error_is_told(storage: Storage) -> None:
    rows: list[object] = [{"id": number, "answers": {"texts": []}} for number in range(3)]
    error = refusal(storage, rows, "{{ answers.text }}")
    assert error.reason.name == "MostRowsRejected"
    assert "PromptTemplateFailed 3 ('dict object' has no attribute 'text'). Some as they are" in error.message


def test_a_list_that_is_printed_is_told_with_its_filters(storage: Storage) -> None:
    assert "a value of type list, which has no one spelling as text: choose one, e.g. by the filter join" in (
        refusal(storage, [{"a": ["x"]}], "{{ a }}").message
    )


# What can never work is told before any row is read.


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ a", "line 1: unexpected end of template"),
        ("{{ a }}\n{% if b %}", "line 2: Unexpected end of template"),
        ("{{ a }}\n{{ b | joined }}", "line 2: No filter named 'joined'"),
        ("{{ a | random }}", "No filter named 'random'"),
        ("{% include 'other' %}{{ a }}", "line 1: there is no other template to include"),
        ("the question", "reads no column"),
        ("{{ range(3) }}", "reads no column"),
        ("{{ " + "(" * 4000 + "a" + ")" * 4000 + " }}", "nested too deeply"),
        ("{% for b in a %}" * 30 + "{% endfor %}" * 30, "nested too deeply"),
        ("{{ a }}{{ " + "1" * 5000 + " }}", "can't compile it"),
    ],
)
def test_what_is_no_template_is_refused_before_the_dataset_is_looked_for(
    storage: Storage, template: str, words: str
) -> None:
    error = refusal(storage, [], template, path="nowhere")
    assert error.reason.name == "BadPromptTemplate"
    assert error.reason.is_final
    assert error.message.startswith("dataset.promptTemplate: ")
    assert words in error.message


def test_a_column_that_no_row_has_is_told_with_those_found(storage: Storage) -> None:
    rows: list[object] = [*(CASES / "alpaca.jsonl").read_text().splitlines()]
    error = refusal(storage, rows, "{{ instruction }}{% if inputs %}{{ inputs }}{% endif %}", response_column="output")
    assert error.reason.name == "MissingColumn"
    assert "no column 'inputs'; its columns: input, instruction, output, text" in error.message
    assert error.message.endswith(f"set dataset.promptTemplate: {json.dumps(ALPACA)}, dataset.responseColumn: output")


def test_names_that_the_template_makes_itself_are_no_columns(storage: Storage) -> None:
    template = "{% set n = namespace(all='') %}{% for x in a %}{% set n.all = n.all ~ x %}{% endfor %}{{ n.all }}"
    assert prompts(storage, prepare(storage, [{"a": ["x", "y"]}], prompt_template=template)) == ["xy"]


def test_a_template_that_does_not_end_is_refused(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_template, "CPU_SECONDS_PER_ROW", 0.2)
    loops = "".join(f"{{% for n{depth} in range(99999) %}}" for depth in range(4))
    started = time.process_time()
    error = refusal(storage, [{"a": "x"}], "{{ a }}" + loops + "{% endfor %}" * 4)
    assert error.reason.name == "BadPromptTemplate"
    assert "a row took it more than" in error.message
    assert time.process_time() - started < 5


def test_the_limit_of_processor_time_is_lifted_behind_the_block() -> None:
    with pytest.raises(CpuTimeExceeded), cpu_time_limit(0.05):
        while True:
            pass
    with cpu_time_limit(0.05):
        pass
    started = time.process_time()
    while time.process_time() - started < 0.1:
        pass


PIECES = st.sampled_from(
    [
        "{{ ", " }}", "{% if ", "{% else %}", "{% endif %}", "{% for ", "{% endfor %}", "{% set ", "{% endset %}",
        " %}", "{#", "#}", "{% raw %}", "{% macro m(", "{% endmacro %}", "{% filter ", "{% block b %}", "{% call ",
        "{% with ", " in ", " is ", "not ", "none", "a", "b", "self", "loop", "super()", ".", "[0]", "['text']", "(",
        ")", "(a)", "|", "join", "tojson", "batch(3)", "groupby", "map('upper')", "format(1)", "xmlattr", "urlize",
        "**", "*", "%", "/", "~", "=", "==", "'x'", "-1", "0", "range", "namespace", "_", "__class__", "\n",
    ]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=3), max_size=20).map("".join), st.sampled_from([None, 0, "x", [], ["x"], {}]))
def test_any_text_is_a_template_or_refused_and_any_row_rendered_or_rejected(text: str, value: object) -> None:
    try:
        template = PromptTemplate(text)
    except StageError as error:
        assert error.reason.name == "BadPromptTemplate"
        return
    try:
        assert isinstance(template.render(dict.fromkeys(template.columns, value)), str)
    except RowRejected as rejected:
        assert rejected.reason.name in ("PromptTemplateFailed", "NoColumn")


# Text that nobody reads.


@pytest.mark.parametrize(
    ("rows", "members", "lines"),
    [
        (
            [{"instruction": "i", "input": "x"}],
            {"prompt_column": "instruction"},
            [f"promptTemplate: {json.dumps(ALPACA)}"],
        ),
        (
            [{"question": "q", "passage": "p", "context": "c"}],
            {"prompt_column": "question"},
            [
                'promptTemplate: "{{ question }}{% if passage %}\\n\\n{{ passage }}{% endif %}'
                '{% if context %}\\n\\n{{ context }}{% endif %}"'
            ]
            * 2,
        ),
        (
            [{"question": "q", "context": "c"}],
            {"prompt_template": 'Say "hi"\n{{ question }}'},
            ['promptTemplate: "Say \\"hi\\"\\n{{ question }}{% if context %}\\n\\n{{ context }}{% endif %}"'],
        ),
        ([{"question": "q", "system_prompt": "s"}], {"prompt_column": "question"}, ["systemColumn: system_prompt"]),
        ([{"messages": [user("q")], "system": "s"}], {"messages_column": "messages"}, ["systemColumn: system"]),
        ([{"The question": "q", "context": "c"}], {"prompt_column": "The question"}, []),
        ([{"none": "q", "context": "c"}], {"prompt_column": "none"}, []),
        ([{"question": "q", "context": "c"}], {"prompt_template": "{{ context }} {{ question }}"}, []),
    ],
)
def test_the_warning_has_the_line_of_the_spec_that_reads_it_and_with_it_there_is_no_warning(
    storage: Storage,
    capsys: pytest.CaptureFixture[str],
    rows: list[object],
    members: dict[str, object],
    lines: list[str],
) -> None:
    """U04."""
    prepare(storage, rows, **members)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert [
        line[line.index(kind) :] for line in told for kind in ("promptTemplate: ", "systemColumn: ") if kind in line
    ] == lines
    for line in lines:
        ((member, value),) = yaml.safe_load(line).items()
        pasted = {**members, {"promptTemplate": "prompt_template", "systemColumn": "system_column"}[member]: value}
        if member == "promptTemplate":
            pasted.pop("prompt_column", None)
        result = prepare(storage, rows, **pasted)
        assert not [name for name in result.counts if name.startswith("unread.")]
