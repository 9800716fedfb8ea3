"""Verdicts of stage programs about the data or a model: trying again can't help."""

from distillation_api.reasons.reason import Cost, ProgramReason


def _reason(name: str, meaning: str, remedy: str) -> ProgramReason:
    return ProgramReason(name, meaning, remedy, Cost.FINAL_INPUT)


ADAPTER_WITHOUT_MODEL = _reason(
    "AdapterWithoutModel",
    "The model's place holds a LoRA adapter, without the weights that it adapts.",
    "Merge the adapter into its base model, and give the result; or give the base model.",
)
BAD_CONFIG = _reason(
    "BadConfig",
    "The dataset has several configs (subsets) and none was chosen, or it has no such config.",
    "Set `config`, beside the dataset's `repo` or `path`, to one that the message lists.",
)
BAD_MODEL_CONFIG = _reason(
    "BadModelConfig",
    "A model's config.json can't be read or lacks a size.",
    "Mend config.json, or give the model as it was published.",
)
BAD_SPLIT = _reason(
    "BadSplit",
    "The dataset has no such split.",
    "Set the field that the message names to a split that it lists.",
)
BAD_TRAIN_DATA = _reason(
    "BadTrainData",
    "A training stage got no data.",
    "Give the stage images the operator's own version.",
)
BROKEN_MODEL_FILE = _reason(
    "BrokenModelFile",
    "A file of the model is damaged or not what its name says.",
    "Download or save the model again.",
)
BUCKET_ACCESS_DENIED = _reason(
    "BucketAccessDenied",
    "The pod's service account has no access to the bucket.",
    "Give the account of `pod.serviceAccountName` the role that the message names.",
)
BUCKET_NOT_FOUND = _reason(
    "BucketNotFound",
    "There is no such bucket or object.",
    "Correct the `gs://` URI that the message names.",
)
CHAT_TEMPLATE_REFUSES = _reason(
    "ChatTemplateRefuses",
    "The student's chat template refuses most conversations of the training data.",
    "Give one that takes them in `student.chatTemplate`, or leave such conversations out of the dataset.",
)
CONTENT_CHANGED = _reason(
    "ContentChanged",
    "A file in the storage isn't the one that its stage has written, or has come there since.",
    "Remove the folder that the message names and make a new DistillationJob, whose stage does its work again. Find "
    "out who else writes this storage.",
)
DATASET_ACCESS_DENIED = _reason(
    "DatasetAccessDenied",
    "The Hub refuses the token, or there is none for a gated or private dataset.",
    "Accept the dataset's terms, and name a Secret with a token in `huggingFaceToken`.",
)
DATASET_NOT_FOUND = _reason(
    "DatasetNotFound",
    "There is no such dataset.",
    "Correct the repository, revision or path in `dataset.source`.",
)
EVALUATION_GATE_FAILED = _reason(
    "EvaluationGateFailed",
    "The student's drop in cross-entropy is below `evaluation.require`; `status.results` has scores and report.",
    "Make a new DistillationJob that trains longer or on more rows, or asks for less in `evaluation.require`: what "
    "this one has finished, its training too, is found done. A retry would compare the same scores again.",
)
HOLDOUT_TOO_LARGE = _reason(
    "HoldoutTooLarge",
    "The holdout leaves no row to train on.",
    "Lower `dataset.holdout`, give more rows, or choose a group column with more values.",
)
INCOMPLETE_DATASET = _reason(
    "IncompleteDataset",
    "A shard of the dataset is missing, or a Git LFS pointer lies in a file's place.",
    "Copy the dataset again, with all its files (`git lfs pull` in a clone).",
)
INCOMPLETE_MODEL = _reason(
    "IncompleteModel",
    "A file of the model's weights is missing or cut short, or a Git LFS pointer lies in a file's place.",
    "Copy the model again, with all its files.",
)
INPUT_REFUSED = _reason(
    "InputRefused",
    "A marker in the storage isn't the one that its stage writes: broken, a link, or of something else.",
    "Make a new DistillationJob: the stage whose folder it is sets the marker aside and does its work again. Find out "
    "who else writes this storage.",
)
LOADING_SCRIPT = _reason(
    "LoadingScript",
    "The dataset is code that would make the rows, which isn't run.",
    "Set `dataset.source.huggingFace.revision` to refs/convert/parquet where the Hub has it; or give files with rows.",
)
LOSS_NOT_FINITE = _reason(
    "LossNotFinite",
    "The loss became NaN or infinite; the message has the last finite step.",
    "Lower `learningRate`, or warm up longer.",
)
MISSING_CHAT_TEMPLATE = _reason(
    "MissingChatTemplate",
    "The tokenizer has no chat template.",
    "Give one in `student.chatTemplate` or `generation.chatTemplate`, or use the model's chat variant.",
)
MISSING_COLUMN = _reason(
    "MissingColumn",
    "The dataset lacks a column; those that it has are named.",
    "Set the member of `dataset` that names it (`messagesColumn`, `promptTemplate`, ...) to columns that it has.",
)
MODEL_ACCESS_DENIED = _reason(
    "ModelAccessDenied",
    "The Hub refuses the token, or there is none for a gated or private model.",
    "Accept the model's terms, and name a Secret with a token in `huggingFaceToken`.",
)
MODEL_NOT_FOUND = _reason(
    "ModelNotFound",
    "There is no such model.",
    "Correct the repository, revision, URI or path in the model's `source`.",
)
MOST_ROWS_REJECTED = _reason(
    "MostRowsRejected",
    "Most of the dataset's rows are unusable; an example is given.",
    "Name the columns that hold the conversations, or the roles and keys of their messages; or mend the rows.",
)
NO_DATA_FILES = _reason(
    "NoDataFiles",
    "The dataset's place holds no file that is read (JSON, CSV, Parquet or Arrow).",
    "Give such a file, or the folder that holds them.",
)
NO_HOLDOUT_ROWS = _reason(
    "NoHoldoutRows",
    "None of the held-out questions got an answer that could be scored.",
    "Raise `dataset.holdout`, and look at the rejected counts of the generate stage.",
)
NO_ROWS = _reason(
    "NoRows",
    "The dataset has no rows that can be used.",
    "Give a dataset with rows.",
)
NO_SAFETENSORS = _reason(
    "NoSafetensors",
    "The model has no safetensors file.",
    "Load the model in transformers once and save it with `save_pretrained`.",
)
NAME_OUTSIDE_FOLDER = _reason(
    "NameOutsideFolder",
    "The name of a file or object leads out of the folder that it lies in.",
    "Remove or rename it; give only sources whose writers you trust.",
)
NO_SETTINGS = _reason(
    "NoSettings",
    "The checkpoint's marker has no MaxText settings.",
    "Train it again: delete the stage's folder and make a new DistillationJob.",
)
NO_TOKENIZER = _reason(
    "NoTokenizer",
    "The model has no tokenizer.",
    "Put the tokenizer's files beside config.json.",
)
LEARNT_OTHERWISE = _reason(
    "LearntOtherwise",
    "What would be learnt isn't, token for token, what the teacher has said.",
    "The chat template or the tokenizer changes answers: compare the row of the message in both stages' files.",
)
NO_TRAINABLE_TOKENS = _reason(
    "NoTrainableTokens",
    "No row has room for an answer: the loss would be 0.",
    "Raise `maxTargetLength`.",
)
NOT_A_MODEL_DIRECTORY = _reason(
    "NotAModelDirectory",
    "The model's place has no config.json.",
    "Give a model directory in Hugging Face format.",
)
PATH_OUTSIDE_STORAGE = _reason(
    "PathOutsideStorage",
    "A path leaves the storage.",
    "Give a path inside the storage, without links that lead out of it.",
)
QUANTISED_MODEL = _reason(
    "QuantisedModel",
    "The weights of the student, or of a teacher for logit matching, are quantised: MaxText reads plain weights only.",
    "Give the repository that the model was quantised from.",
)
REASONING_MARKS_UNKNOWN = _reason(
    "ReasoningMarksUnknown",
    "The teacher is known to reason, but the marks around its reasoning are found neither in its vocabulary nor in its "
    "chat template: the reasoning would be learnt as if it were the answer.",
    "Give the template that was published with it in `generation.chatTemplate`, or set `generation.reasoning` to Keep.",
)
NO_END_OF_ANSWER = _reason(
    "NoEndOfAnswer",
    "The student's chat template ends an answer by nothing, or by what its tokenizer has no token of its own for.",
    "Give a template in `student.chatTemplate` that ends answers by `{{ eos_token }}`, or one of the student's family.",
)
REASONING_NOT_RENDERED = _reason(
    "ReasoningNotRendered",
    "The teacher's reasoning, by `generation.reasoning`, or that of the dataset's own answers is to be learnt, and the "
    "student's chat template takes it out of answers.",
    "Give a template that leaves it in `student.chatTemplate`; or set `generation.reasoning` to StripClosed, or take "
    "the reasoning out of the dataset.",
)
SCORE_NOT_FINITE = _reason(
    "ScoreNotFinite",
    "A score of the evaluation is NaN or infinite: the model is broken.",
    "Check the student's model; if only the trained one is broken, lower `learningRate`.",
)
SEVERAL_FORMATS = _reason(
    "SeveralFormats",
    "The dataset's folder holds CSV and JSON files, and either may be the rows.",
    "Give one file, or a folder with files of one format.",
)
SEVERAL_SPLITS = _reason(
    "SeveralSplits",
    "The file names of the dataset's folder tell of several splits, and none was chosen.",
    "Set `dataset.source.split` to one that the message lists, or to `all`.",
)
STORAGE_ACCESS_DENIED = _reason(
    "StorageAccessDenied",
    "The storage refuses to be read or written.",
    "Give the pod's service account the role on the bucket, or make the volume writable for the user that is named.",
)
SYSTEM_PROMPT_REFUSED = _reason(
    "SystemPromptRefused",
    "The teacher's chat template takes no system message.",
    "Remove `generation.systemPrompt`, or give a template that takes one in `generation.chatTemplate`.",
)
TARGET_NOT_EMPTY = _reason(
    "TargetNotEmpty",
    "The place to publish to holds something else.",
    "Choose another place in `export.to`, or empty that one.",
)
TOKENS_BEYOND_VOCABULARY = _reason(
    "TokensBeyondVocabulary",
    "A chat template uses tokens that the tokenizer knows and the model's weights have no row for.",
    "Resize the model's embeddings to its tokenizer and save both, or give a chat template without those tokens.",
)
TOO_FEW_ROWS = _reason(
    "TooFewRows",
    "The data is not enough for one batch, or for the steps.",
    "Lower `steps` or `perDeviceBatchSize`, raise `epochs`, or give more rows; the message has the numbers.",
)
TOO_MANY_ROWS_LOST = _reason(
    "TooManyRowsLost",
    "More answers were lost than `generation.maxLostShare` allows; the causes are counted.",
    "Do what the message advises for the most frequent cause, or raise `generation.maxLostShare`.",
)
TRAINING_DATA_REFUSED = _reason(
    "TrainingDataRefused",
    "MaxText refuses a row of the training data.",
    "Mend or remove such rows; the message has MaxText's error.",
)
UNREADABLE_DATASET = _reason(
    "UnreadableDataset",
    "A file of the dataset can't be read.",
    "Write the file that is named again.",
)
UNUSABLE_MODEL = _reason(
    "UnusableModel",
    "transformers can't load a model that is to be scored.",
    "Give a model that transformers can load; the message has its error.",
)
UNUSABLE_TOKENIZER = _reason(
    "UnusableTokenizer",
    "The tokenizer can't be loaded.",
    "Mend the tokenizer's files; the message has the error of transformers.",
)
VOCABULARIES_DIFFER = _reason(
    "VocabulariesDiffer",
    "Logit matching needs one vocabulary; what differs is named.",
    "Use a teacher and a student of one family, or the objective SupervisedFineTuning.",
)
