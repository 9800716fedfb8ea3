"""Where models and datasets come from."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from distillation_api.cel import Rule, exactly_one_of
from distillation_api.model import Model
from distillation_api.spec.types import ColumnName, ConfigName, GcsUri, HubRepo, SplitName, StoragePath

_ONE_WHOLE_SPLIT = Rule(
    "!has(self.split) || self.split.matches('^[A-Za-z0-9_.]+$')",
    "split names one whole split, such as train; for a part of it, such as train[:10%], set dataset.limit to a number "
    "of rows",
    field="split",
)


class HuggingFaceModel(Model):
    """A model repository on the Hugging Face Hub."""

    repo: HubRepo
    """Repository id, e.g. meta-llama/Llama-2-7b-chat-hf."""
    revision: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "main"
    """Branch, tag or commit. A commit makes the run repeatable."""


class Gcs(Model):
    """Something in Google Cloud Storage."""

    uri: GcsUri
    """For example gs://bucket/folder."""


class ModelSource(Model):
    """Where a model lies, in Hugging Face format (config.json, safetensors, tokenizer). Exactly one member."""

    hugging_face: HuggingFaceModel | None = None
    """A repository on the Hugging Face Hub."""
    gcs: Gcs | None = None
    """A folder in Google Cloud Storage."""
    path: StoragePath | None = None
    """A folder inside the storage, relative to its root."""

    rules: ClassVar[list[Rule]] = [exactly_one_of("huggingFace", "gcs", "path")]


class HuggingFaceDataset(Model):
    """A dataset repository on the Hugging Face Hub."""

    repo: HubRepo
    """Repository id, e.g. HuggingFaceH4/ultrachat_200k."""
    revision: Annotated[str, StringConstraints(min_length=1, max_length=128)] = "main"
    """Branch, tag or commit. A commit makes the run repeatable."""
    config: ConfigName | None = None
    """Config (subset) to read, where the repository has several."""
    split: SplitName = "train"
    """Split to read, e.g. train_sft."""

    rules: ClassVar[list[Rule]] = [_ONE_WHOLE_SPLIT]


class DatasetSource(Model):
    """Where the dataset lies. Exactly one member."""

    hugging_face: HuggingFaceDataset | None = None
    """A repository on the Hugging Face Hub."""
    gcs: Gcs | None = None
    """A file of JSON, CSV, Parquet or Arrow, or a folder of them, in Google Cloud Storage."""
    path: StoragePath | None = None
    """The same inside the storage, relative to its root."""
    config: ConfigName | None = None
    """Config (subset) of the folder of gcs or path, where its README.md lists several."""
    split: SplitName | None = None
    """Split of the folder of gcs or path, where its file names tell of several; or all."""

    rules: ClassVar[list[Rule]] = [
        exactly_one_of("huggingFace", "gcs", "path"),
        Rule(
            "!has(self.huggingFace) || !(has(self.config) || has(self.split))",
            "config and split of a dataset on the Hub stand in huggingFace",
        ),
        _ONE_WHOLE_SPLIT,
    ]


class Dataset(Model):
    """The prompts that the teacher answers, with the original answers where there are some."""

    source: DatasetSource
    """Where the dataset lies."""
    messages_column: ColumnName | None = None
    """Column with the conversation: a list of {role, content}. Or promptColumn, with responseColumn."""
    prompt_column: ColumnName | None = None
    """Column with the prompt as text, instead of messagesColumn."""
    response_column: ColumnName | None = None
    """Column with the original answer as text, next to promptColumn."""
    group_column: ColumnName | None = None
    """Rows with the same value stay together, so that the holdout has groups (topics, say) that training never sees."""
    limit: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Rows used; all when absent."""
    holdout: Annotated[int, Field(ge=1, le=100_000)] = 64
    """Rows kept out of training, for evaluation (with groupColumn: at least this many, in whole groups)."""

    rules: ClassVar[list[Rule]] = [
        exactly_one_of("messagesColumn", "promptColumn"),
        Rule(
            "!has(self.responseColumn) || has(self.promptColumn)",
            "responseColumn goes with promptColumn; a messagesColumn has the responses in it",
            field="responseColumn",
        ),
        Rule(
            "!has(self.limit) || self.limit > self.holdout",
            "limit must be greater than holdout: nothing would be left for training",
            field="limit",
        ),
    ]
