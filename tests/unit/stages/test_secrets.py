"""A secret never leaves by a message, whatever shape its value has and whoever quotes it."""

import pytest

from distillation_api.contract import SECRET_VARIABLES_ENV, FetchProgram, Source, StageFailure, StageSpec
from distillation_stages.__main__ import main
from distillation_stages.programs import fetch
from distillation_stages.runtime.failure import StageError
from distillation_stages.runtime.secrets import HUB_TOKEN, secret, without_secrets
from distillation_stages.runtime.storage import Storage
from distillation_stages.services import hub

PEM = "-----BEGIN KEY-----\nMIISECRETSECRET\n-----END KEY-----\n"


@pytest.mark.parametrize("value", ["hf_SECRET\n", "hf_SECRET\r\n", "  hf_SECRET\t"])
def test_blanks_around_a_token_are_no_part_of_it(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``kubectl create secret --from-file`` keeps the line break of a file."""
    monkeypatch.setenv(HUB_TOKEN, value)
    assert hub.token() == "hf_SECRET"


def test_no_token_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HUB_TOKEN, " \n")
    assert secret(HUB_TOKEN) is None
    monkeypatch.delenv(HUB_TOKEN)
    assert secret(HUB_TOKEN) is None


@pytest.mark.parametrize(
    "value", [PEM, "two words", "hf_\x01SECRET", "clé-SECRET", '{"type":\n"SECRET"}', "\x7fELFSECRET"]
)
def test_what_is_no_token_is_refused_without_being_quoted(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HUB_TOKEN, value)
    with pytest.raises(StageError) as caught:
        hub.token()
    assert caught.value.reason.name == "BadToken"
    assert "SECRET" not in caught.value.message
    assert "spec.huggingFaceToken" in caught.value.message


@pytest.mark.parametrize("value", ["hf_SECRET\n", PEM, "hf_SECRET\t"])
@pytest.mark.parametrize("quoted", [str, repr, lambda value: f"Illegal header value {f'Bearer {value}'.encode()!r}"])
def test_whoever_quotes_a_secret_it_is_neither_in_the_log_nor_in_the_termination_message(
    value: str,
    quoted: object,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("pod")
    log = folder / "log"
    spec = StageSpec(
        stage="s", fingerprint="f", output="o", program=FetchProgram(source=Source(path="p"), role="teacher")
    )

    def fails(spec: StageSpec, storage: Storage) -> None:
        raise OSError(quoted(value))  # type: ignore[operator]

    monkeypatch.setattr(fetch, "run", fails)
    variables = {"STAGE_SPEC": spec.model_dump_json(by_alias=True), "TERMINATION_LOG": str(log), HUB_TOKEN: value}
    for name, text in {**variables, "STORAGE_MOUNT": str(folder)}.items():
        monkeypatch.setenv(name, text)
    assert main() != 0
    told = log.read_text()
    assert StageFailure.model_validate_json(told).message
    printed = capfd.readouterr()
    assert "SECRET" not in told + printed.out + printed.err


def test_words_stay_where_no_secret_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HUB_TOKEN, "a")
    assert without_secrets("a cat") == "a cat"
    monkeypatch.setenv(HUB_TOKEN, "")
    assert without_secrets("a cat") == "a cat"


def test_secrets_of_a_users_own_variables_are_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_PASSWORD", "open sesame")
    monkeypatch.setenv("OTHER", PEM)
    monkeypatch.setenv(SECRET_VARIABLES_ENV, "PROXY_PASSWORD,OTHER")
    assert (
        without_secrets(f"login with 'open sesame' or {PEM!r}, not closed") == "login with '***' or '***', not closed"
    )
