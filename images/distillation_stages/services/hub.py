"""The Hugging Face Hub's errors as ours: what the user must change is permanent, everything else is tried again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from distillation_api import reasons
from distillation_api.contract import HuggingFaceRepo
from distillation_api.reasons.reason import ProgramReason
from distillation_stages.runtime.failure import StageError, first_line
from distillation_stages.runtime.secrets import HUB_TOKEN, secret
from distillation_stages.runtime.storage import is_of_files

Kind = Literal["model", "dataset"]

ACCESS_DENIED: dict[Kind, ProgramReason] = {
    "model": reasons.MODEL_ACCESS_DENIED,
    "dataset": reasons.DATASET_ACCESS_DENIED,
}
NOT_FOUND: dict[Kind, ProgramReason] = {"model": reasons.MODEL_NOT_FOUND, "dataset": reasons.DATASET_NOT_FOUND}


def token() -> str | None:
    """The token from the Secret that the user named; None when there is none."""
    return secret(HUB_TOKEN)


@contextmanager
def hub_errors(kind: Kind, source: HuggingFaceRepo) -> Iterator[None]:
    """Turns what huggingface_hub raises in the block into a StageError that names the repository."""
    from huggingface_hub import errors

    what = f"{kind} {source.repo!r} (revision {source.revision!r})"
    denied, missing = ACCESS_DENIED[kind], NOT_FOUND[kind]
    try:
        yield
    except errors.GatedRepoError as error:
        raise StageError(denied, f"the Hub refuses {what}: it is gated. {_access_hint()}") from error
    except errors.HFValidationError as error:
        raise StageError(missing, f"{source.repo!r} is no Hub repository name; give owner/name") from error
    except errors.RevisionNotFoundError as error:
        raise StageError(
            missing, f"the Hub has {kind} {source.repo!r}, but no revision {source.revision!r} of it"
        ) from error
    except errors.HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        # The Hub answers 401, not 404, for a repository that the caller may not know of.
        if status in (401, 403):
            raise StageError(
                denied,
                f"the Hub refuses {what} with {status}: it is private, gated or doesn't exist. {_access_hint()}",
            ) from error
        if status == 404 or isinstance(error, errors.RepositoryNotFoundError):
            raise StageError(missing, f"the Hub has no {what}; check the name and the revision") from error
        raise StageError(
            reasons.HUB_UNAVAILABLE, f"the Hub answered {status} for {what}: {first_line(error)}"
        ) from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, OSError) as error:
        if is_of_files(error):
            raise
        raise StageError(reasons.HUB_UNAVAILABLE, f"can't read {what} from the Hub: {first_line(error)}") from error
    except Exception as error:
        # The HTTP library's errors (httpx or requests, by version) are neither OSError nor the hub's own.
        if type(error).__module__.split(".")[0] in ("httpx", "httpcore", "requests", "urllib3", "aiohttp"):
            raise StageError(reasons.HUB_UNAVAILABLE, f"can't read {what} from the Hub: {first_line(error)}") from error
        raise


def _access_hint() -> str:
    if token() is None:
        return f"No token was given: name a Secret in spec.huggingFaceToken (it becomes {HUB_TOKEN})"
    return "The token in the Secret of spec.huggingFaceToken has no access: accept the terms or use another token"
