"""Why a row is left out, of the dataset or of the teacher's answers."""

from collections.abc import Mapping

from distillation_api.reasons.reason import Cost, RowReason

_REJECTED = "rejected."
"""What the names of the counts of rejected rows begin with."""


def _reason(name: str, meaning: str, remedy: str) -> RowReason:
    return RowReason(name, meaning, remedy, Cost.ROW_REJECTED)


BROKEN_JSON = _reason(
    "BrokenJson",
    "The line is no JSON.",
    "Write one JSON object per line.",
)
BROKEN_CSV = _reason(
    "BrokenCsv",
    "The row has more or fewer cells than the header, or a quote in it can't be told from those around a cell.",
    "Put cells with separators, line ends or quotes in them into quotes, and double their own.",
)
NOT_AN_OBJECT = _reason(
    "NotAnObject",
    "The line, or the member of the array, is JSON, but no object.",
    "Write one JSON object per line or member.",
)
NO_COLUMN = _reason(
    "NoColumn",
    "The row lacks a column that others have.",
    "Fill the column in that row.",
)
NO_GROUP = _reason(
    "NoGroup",
    "The row has nothing in the group column.",
    "Fill `dataset.groupColumn` in that row.",
)
NOT_A_LIST = _reason(
    "NotAList",
    "The messages column holds no list of turns.",
    "Write a list of `{role, content}`, or name prompt and response columns.",
)
TURN_NOT_AN_OBJECT = _reason(
    "TurnNotAnObject",
    "A turn is no object.",
    "Write each turn as `{role, content}`.",
)
UNKNOWN_ROLE = _reason(
    "UnknownRole",
    "A turn's role is none of system, user, assistant and tool, nor another known name of these.",
    "Add the name in `dataset.messages.roles`.",
)
AMBIGUOUS_TURN = _reason(
    "AmbiguousTurn",
    "A turn has its role or its content under several known keys, and none is the standard one.",
    "Name the right key in `dataset.messages.roleKey` or `contentKey`.",
)
PROMPT_TEMPLATE_FAILED = _reason(
    "PromptTemplateFailed",
    "`dataset.promptTemplate` fails on the row, prints something that has no one spelling as text, or prints too much.",
    "Let the template take such rows, or mend them.",
)
TOOL_CALLS = _reason(
    "ToolCalls",
    "The conversation has tools, calls of them or their results, and the teacher's chat template leaves these out.",
    "Give a template that renders them in `generation.chatTemplate`, or leave such conversations out.",
)
BAD_TOOLS = _reason(
    "BadTools",
    "The row's tools, or a call of one, can't be read: they are no JSON, have no name, or stand in a text.",
    "Write tools as JSON schemas, and calls as `tool_calls` with a name and an object of arguments.",
)
TOOLS_OUT_OF_ORDER = _reason(
    "ToolsOutOfOrder",
    "A tool's result follows no call, or a call no result, or the assistant says nothing to a result.",
    "Write the result behind its call, and the assistant's turn behind the result.",
)
CONTENT_NOT_TEXT = _reason(
    "ContentNotText",
    "A turn's content, or a column that is read as one, is no text.",
    "Write it as one string or a list of text parts, or name its key in `dataset.messages.contentKey`.",
)
PART_NOT_TEXT = _reason(
    "PartNotText",
    "A turn's content has a part that is no text, such as an image.",
    "Leave such conversations out: students are trained on text.",
)
MEDIA_COLUMN = _reason(
    "MediaColumn",
    "The row has an image, a video or a sound in a column beside its text.",
    "Leave such rows out: students are trained on text. Remove the column where the text makes sense without it.",
)
LONE_SURROGATE = _reason(
    "LoneSurrogate",
    "A turn has half a character (a lone surrogate), which UTF-8 can't hold.",
    "Remove it.",
)
EMPTY_CONTENT = _reason(
    "EmptyContent",
    "A turn is blank.",
    "Fill or remove the turn.",
)
NO_USER_TURN = _reason(
    "NoUserTurn",
    "The conversation has no turn of the user.",
    "Give it a question.",
)
SYSTEM_NOT_FIRST = _reason(
    "SystemNotFirst",
    "A system message stands behind a turn of the user or the assistant.",
    "Put it first.",
)
ASSISTANT_FIRST = _reason(
    "AssistantFirst",
    "The conversation begins with the assistant.",
    "Begin it with the user.",
)
CONSECUTIVE_ROLES = _reason(
    "ConsecutiveRoles",
    "Two turns of one role follow each other.",
    "Join them.",
)
EMPTY = _reason(
    "Empty",
    "The conversation has no turns, or the teacher's answer is empty.",
    "Remove the row, or look at what the teacher is asked.",
)
TEMPLATE_REFUSED = _reason(
    "TemplateRefused",
    "The teacher's chat template refuses the conversation.",
    "Give a template that takes it in `generation.chatTemplate`.",
)
STUDENT_TEMPLATE_REFUSED = _reason(
    "StudentTemplateRefused",
    "The student's chat template refuses the conversation or leaves out its tools: training passes it over.",
    "Give a template that takes it in `student.chatTemplate`.",
)
PROMPT_TOO_LONG = _reason(
    "PromptTooLong",
    "The prompt leaves no room for an answer.",
    "Raise `generation.maxModelLen` or lower `sampling.maxTokens`.",
)
ENGINE_REFUSED = _reason(
    "EngineRefused",
    "vLLM refused the request.",
    "Look for its words in the pod's log.",
)
ENGINE_ABORTED = _reason(
    "EngineAborted",
    "vLLM gave up the request.",
    "Look for its words in the pod's log.",
)
TRUNCATED = _reason(
    "Truncated",
    "The answer was cut at `sampling.maxTokens`.",
    "Raise `sampling.maxTokens`, or set `keepTruncated`.",
)
OPEN_REASONING = _reason(
    "OpenReasoning",
    "The answer's reasoning doesn't end, and `generation.reasoning` asks for its end.",
    "Raise `sampling.maxTokens`, so that the reasoning ends.",
)
NO_REASONING = _reason(
    "NoReasoning",
    "The answer has no reasoning, and `generation.reasoning` is RequireClosed.",
    "Set `generation.reasoning` to StripClosed for a teacher that doesn't reason.",
)


def rejected_counts(rejected: Mapping[RowReason, int]) -> dict[str, int]:
    """The counts of a stage's result for its rejected rows: ``rejected.REASON``."""
    return dict(sorted((f"{_REJECTED}{reason.name}", count) for reason, count in rejected.items()))


def rejections(counts: Mapping[str, int]) -> dict[str, int]:
    """The rejected rows among a stage's counts, by the name of their reason."""
    return {name.removeprefix(_REJECTED): count for name, count in counts.items() if name.startswith(_REJECTED)}
