"""Where models and datasets come from."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from distillation_api.cel import Rule, exactly_one_of
from distillation_api.model import Model
from distillation_api.spec.stage_folders import outside_stage_folders
from distillation_api.spec.types import ColumnName, ConfigName, GcsUri, HubRepo, SplitName, StoragePath

_ONE_WHOLE_SPLIT = Rule(
    "!has(self.split) || self.split.matches('^[A-Za-z0-9_.]+$')",
    "split names one whole split, such as train; for a part of it, such as train[:10%], set dataset.limit to a number "
    "of rows",
    field="split",
)


_OUTSIDE_STAGE_FOLDERS = outside_stage_folders(
    "path", "to use what a job has made, have it published by export.to and give that place"
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

    rules: ClassVar[list[Rule]] = [exactly_one_of("huggingFace", "gcs", "path"), _OUTSIDE_STAGE_FOLDERS]


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
        _OUTSIDE_STAGE_FOLDERS,
        Rule(
            "!has(self.huggingFace) || !(has(self.config) || has(self.split))",
            "config and split of a dataset on the Hub stand in huggingFace",
        ),
        _ONE_WHOLE_SPLIT,
    ]


MessageKey = Annotated[str, StringConstraints(min_length=1, max_length=64)]


RoleNames = Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=64)]], Field(max_length=8)]


class Roles(Model):
    """Names of the roles, in any case."""

    system: RoleNames = []
    """Names of system."""
    user: RoleNames = []
    """Names of user."""
    assistant: RoleNames = []
    """Names of assistant."""

    rules: ClassVar[list[Rule]] = [
        Rule(
            "!self.system.exists(n, n in self.user || n in self.assistant) && "
            "!self.user.exists(n, n in self.assistant)",
            "a name can stand for one role only",
        ),
    ]


class Messages(Model):
    """How the dataset spells its messages; in front of the known spellings."""

    role_key: MessageKey | None = None
    """Key of the role in a message."""
    content_key: MessageKey | None = None
    """Key of the content in a message."""
    roles: Roles | None = None
    """Names of the roles."""


class Dataset(Model):
    """The prompts that the teacher answers, with the original answers where there are some."""

    source: DatasetSource
    """Where the dataset lies."""
    messages_column: ColumnName | None = None
    """Column with the conversation: a list of {role, content}. Or promptColumn, with responseColumn."""
    messages: Messages | None = None
    """Spellings of the messages in messagesColumn that aren't known."""
    prompt_column: ColumnName | None = None
    """Column with the prompt as text, instead of messagesColumn."""
    prompt_template: Annotated[str, StringConstraints(min_length=1, max_length=8192)] | None = None
    """Jinja template over the row's columns that makes the prompt, instead of promptColumn."""
    response_column: ColumnName | None = None
    """Column with the original answer as text, next to promptColumn or promptTemplate."""
    system_column: ColumnName | None = None
    """Column with the system message as text; none in rows where it is blank."""
    tools_column: ColumnName | None = None
    """Column with the tools, as JSON text or a list; tools beside messagesColumn when absent."""
    group_column: ColumnName | None = None
    """Rows with the same value stay together, so that the holdout has groups (topics, say) that training never sees."""
    limit: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Rows used; all when absent."""
    holdout: Annotated[int, Field(ge=1, le=100_000)] = 64
    """Rows kept out of training, for evaluation (with groupColumn: at least this many, in whole groups)."""

    rules: ClassVar[list[Rule]] = [
        exactly_one_of("messagesColumn", "promptColumn", "promptTemplate"),
        Rule(
            "!has(self.responseColumn) || has(self.promptColumn) || has(self.promptTemplate)",
            "responseColumn goes with promptColumn or promptTemplate; a messagesColumn has the responses in it",
            field="responseColumn",
        ),
        Rule(
            "!has(self.messages) || has(self.messagesColumn)",
            "messages goes with messagesColumn: it is about the messages in it",
            field="messages",
        ),
        Rule(
            "!has(self.limit) || self.limit > self.holdout",
            "limit must be greater than holdout: nothing would be left for training",
            field="limit",
        ),
    ]
