"""The licence that a model's or dataset's README.md names, whatever else stands there."""

from pathlib import Path

import pytest

from distillation_api.contract import FetchProgram, Source
from distillation_stages.data.licences import LONGEST, README_LIMIT, licence_of_directory, licence_of_readme
from distillation_stages.programs import fetch
from distillation_stages.runtime.storage import Storage
from unit.stages.stage_inputs import spec_of, write_model


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("license: apache-2.0", "apache-2.0"),
        ("license: other\nlicense_name: llama3.1", "llama3.1"),
        ("license: other", "other"),
        ("license: [mit, cc-by-4.0]", "mit, cc-by-4.0"),
        ('license: "two\\nlines"', "two lines"),
        (f"license: {'x' * 1000}", "x" * LONGEST),
    ],
)
def test_the_header_names_it(header: str, name: str) -> None:
    assert licence_of_readme(f"---\n{header}\n---\n# Model\n") == {"license": name}
    assert licence_of_readme(f"---\r\n{header}\r\n---\r\n# Model\n") == {"license": name}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# Model",
        "license: mit",
        "---\nlicense: {a: b}\n---\n",
        "---\nlicense:\n---\n",
        "---\n[\n---\n",
        "---\n- license\n---\n",
        "---\nlicense: !!python/object:os.system x\n---\n",
        "---\n" + "[" * 5000 + "\n---\n",
    ],
)
def test_what_is_no_such_header_names_none(text: str) -> None:
    assert licence_of_readme(text) == {}


def test_a_model_in_the_storage_has_that_of_its_readme(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    (tmp_path / "model/README.md").write_text("---\nlicense: mit\n---\n")
    program = FetchProgram(source=Source(path="model"), role="teacher")
    assert fetch.run(spec_of(program), Storage(tmp_path)).versions == {"license": "mit"}


def test_a_readme_of_any_size_is_no_burden(tmp_path: Path) -> None:
    assert licence_of_directory(tmp_path) == {}
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n" + "x" * README_LIMIT)
    assert licence_of_directory(tmp_path) == {}
