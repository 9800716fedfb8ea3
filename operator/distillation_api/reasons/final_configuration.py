"""Verdicts of stage programs about what was asked for: trying again can't help."""

from distillation_api.reasons.reason import Cost, ProgramReason, Reason


def _reason(name: str, meaning: str, remedy: str) -> ProgramReason:
    return ProgramReason(name, meaning, remedy, Cost.FINAL_CONFIGURATION)


ACCELERATOR_DENIED = _reason(
    "AcceleratorDenied",
    "The pod may not open the accelerator, or not lock the memory that its driver needs.",
    "Take node pools of GKE 1.28 or newer, where neither needs a privilege, or have the chart's value "
    "`stagePods.acceleratorProfile` set to what the message names; it has the pod's user and hard limit.",
)
BAD_BUCKET_URI = _reason(
    "BadBucketUri",
    "A gs:// URI has no bucket.",
    "Give `gs://BUCKET/PATH`.",
)
BAD_PARALLELISM = _reason(
    "BadParallelism",
    "An axis of the mesh is less than 1.",
    "Set each axis of `parallelism` to 1 or more.",
)
BAD_PROMPT_TEMPLATE = _reason(
    "BadPromptTemplate",
    "`dataset.promptTemplate` is no Jinja template, reads no column, or doesn't end.",
    "Mend the template at the line that the message names (docs/data.md).",
)
BAD_SHARD_INDEX = _reason(
    "BadShardIndex",
    "The pod has no index of an Indexed Job.",
    "Leave the stage's pods to the Job that the operator makes.",
)
BAD_STAGE_SPEC = _reason(
    "BadStageSpec",
    "The image's programs are of another version than the operator.",
    "Give the stage images the operator's own version.",
)
BAD_TOKEN = _reason(
    "BadToken",
    "The Secret of `huggingFaceToken` holds no token: its value is not one line of printable text.",
    "Put the token alone, as one line, into the key of the Secret.",
)
CHIPS_REFUSED = Reason(
    "ChipsRefused",
    "The node's device plugin refuses the number of chips that a pod asks for.",
    "Set `accelerator.chipsPerHost` to the chips of one VM of the node pool: 1, 4 or 8 by its machine type.",
    Cost.FINAL_CONFIGURATION,
)
CONVERSION_DISAGREES = _reason(
    "ConversionDisagrees",
    "The converted checkpoint and transformers disagree on the logits.",
    "Check that `maxTextModel` is the model's architecture; raise `conversion.maxKl` only for a distance you accept.",
)
CONTEXT_TOO_SHORT = _reason(
    "ContextTooShort",
    "`generation.maxModelLen` is more than the teacher's context, or `maxTargetLength` more than the student's.",
    "Lower the field that the message names to the model's context, or take a model with a longer one.",
)
ENGINE_REFUSED_MODEL = _reason(
    "EngineRefusedModel",
    "vLLM can't serve the teacher with these settings.",
    "Change the setting of `generation` that vLLM's message names, or take another teacher.",
)
EXPORT_DISAGREES = _reason(
    "ExportDisagrees",
    "The exported model and the checkpoint disagree on the logits.",
    "Export with `export.dtype: float32`, or raise `conversion.maxKl` if you accept the distance.",
)
FEATURES_DIFFER = _reason(
    "FeaturesDiffer",
    "The feature loss needs teacher and student of one width, and layers that both have.",
    "Set `logitMatching.beta` to 0, or choose `layerIndices` that both models have.",
)
HEADS_NOT_DIVISIBLE = _reason(
    "HeadsNotDivisible",
    "The attention heads of a model can't be shared out evenly to the chips of tensor parallelism.",
    "Take a topology or `parallelism.tensor` by which the number of heads can be divided.",
)
INCOMPATIBLE_IMAGE = _reason(
    "IncompatibleImage",
    "MaxText, Tunix and JAX in the image don't fit together.",
    "Use the trainer's image of the operator's version.",
)
MAX_TEXT_MODEL_AMBIGUOUS = _reason(
    "MaxTextModelAmbiguous",
    "config.json fits more than one of MaxText's models.",
    "Set `maxTextModel` to the right one of the names in the message.",
)
MAX_TEXT_MODEL_CONTRADICTED = _reason(
    "MaxTextModelContradicted",
    "`maxTextModel` is another model than config.json has.",
    "Set it to one of the names in the message, or leave it out.",
)
MAX_TEXT_REFUSED = _reason(
    "MaxTextRefused",
    "MaxText refuses its configuration.",
    "Change the setting that MaxText's message names, in `maxText` or in the training stage.",
)
MEMORY_TOO_SMALL = _reason(
    "MemoryTooSmall",
    "The conversion needs more memory than the pod has.",
    "Raise `conversion.resources.memory` in this job to what the message asks for, and use the annotation "
    "`distillation.dev/retry`.",
)
MODEL_NOT_SUPPORTED = _reason(
    "ModelNotSupported",
    "MaxText doesn't train models of this architecture or shape, or can't convert them, or not back.",
    "Take one of the models that the message names.",
)
NO_ROOM_FOR_PROMPTS = _reason(
    "NoRoomForPrompts",
    "`maxModelLen` doesn't exceed `sampling.maxTokens`.",
    "Raise `generation.maxModelLen` or lower `sampling.maxTokens`.",
)
NO_SOURCE = _reason(
    "NoSource",
    "A source has no member.",
    "Give `huggingFace`, `gcs` or `path`.",
)
NO_TARGET = _reason(
    "NoTarget",
    "The target of the export has no member.",
    "Give `gcs` or `path` in `export.to`.",
)
MODEL_EXCEEDS_CHIPS = _reason(
    "ModelExceedsChips",
    "By its size the model can't fit into the memory of the accelerator's chips; the message has the estimate.",
    "Take a larger topology or chips with more memory; for training also smaller `weightDtype`, or less `data` axis.",
)
OUT_OF_MEMORY = _reason(
    "OutOfMemory",
    "The accelerator's memory is too small.",
    "Take a larger topology, or smaller batches and lengths.",
)
SETTING_REFUSED = _reason(
    "SettingRefused",
    "`maxText` or `maxTextUnlisted` sets what may not be set, or what the image's MaxText does not take.",
    "Remove or mend the settings that the message names (docs/maxtext-settings.md).",
)
SETTINGS_DISAGREE = _reason(
    "SettingsDisagree",
    "The student's model was replaced between conversion and export.",
    "Put the student's model back, or make a new DistillationJob for the new one.",
)
TEACHER_NOT_SERVED = _reason(
    "TeacherNotServed",
    "vLLM of the teacher's image has no implementation of the teacher's architecture.",
    "Take a teacher of an architecture that vLLM serves for text generation.",
)
UNSUPPORTED_ARCHITECTURE = _reason(
    "UnsupportedArchitecture",
    "config.json has a value that MaxText's architecture doesn't know.",
    "Take a model without that variation.",
)
UNSUPPORTED_ROPE_SCALING = _reason(
    "UnsupportedRopeScaling",
    "config.json scales RoPE in a way that MaxText doesn't know.",
    "Take a model whose RoPE MaxText supports.",
)
WEIGHTS_DO_NOT_FIT = _reason(
    "WeightsDoNotFit",
    "The weights don't fit config.json.",
    "Give the config.json that belongs to the weights.",
)
