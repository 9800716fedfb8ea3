"""The stage prepare-dataset: conversations, split into those for training and the holdout."""

from distillation_api.contract import HuggingFaceRepo, MessageSpelling, PrepareProgram, Source
from distillation_api.spec import DatasetSource, Messages
from distillation_operator.pipeline.builder import Builder
from distillation_operator.pipeline.stage import Stage


def add_prepare_dataset(graph: Builder) -> Stage:
    """The dataset as every other stage reads it."""
    dataset = graph.spec.dataset
    program = PrepareProgram(
        source=dataset_source(dataset.source),
        messages_column=dataset.messages_column,
        messages=message_spelling(dataset.messages) if dataset.messages is not None else None,
        prompt_column=dataset.prompt_column,
        prompt_template=dataset.prompt_template,
        response_column=dataset.response_column,
        system_column=dataset.system_column,
        tools_column=dataset.tools_column,
        group_column=dataset.group_column,
        limit=dataset.limit,
        holdout=dataset.holdout,
    )
    on_hub = dataset.source.hugging_face is not None
    return graph.add("prepare-dataset", program, "fetcher", graph.cpu, needs_token=on_hub)


def message_spelling(messages: Messages) -> MessageSpelling:
    """The dataset's own spellings, as programs are told."""
    roles = messages.roles.to_json_dict() if messages.roles is not None else {}
    named = {role: names for role, names in roles.items() if names}
    return MessageSpelling(role_key=messages.role_key, content_key=messages.content_key, roles=named)


def dataset_source(source: DatasetSource) -> Source:
    """Where the dataset lies, as programs are told."""
    hub = source.hugging_face
    return Source(
        hugging_face=HuggingFaceRepo(repo=hub.repo, revision=hub.revision, split=hub.split, config=hub.config)
        if hub
        else None,
        gcs_uri=source.gcs.uri if source.gcs else None,
        path=source.path,
        split=source.split,
        config=source.config,
    )
