"""MaxText's own data pipeline over the rows that a stage pack-NAME lays out, to compare with.

``python maxtexts_own.py STORAGE FOLDER``, in the trainer's environment, writes what it reads of a storage's prepared
rows, and prints its settings as a JSON object.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distillation_api.contract import TrainData
from distillation_stages.data.training_rows import TrainingRow, read_conversations
from distillation_stages.maxtext.trainable_text import RenderedRows
from distillation_stages.models.model_directory import model_of
from distillation_stages.models.rendering import Renderer
from distillation_stages.programs.pack import order
from distillation_stages.runtime.storage import Storage


def write_own(conversations: Iterable[TrainingRow], tokenizer: Any, folder: Path) -> dict[str, str]:
    """The same rows in the order of the first epoch, as texts that MaxText joins as they stand; its settings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(RenderedRows(tokenizer, conversations))
    messages = [
        [{"role": "user", "content": exchange.given}, {"role": "assistant", "content": exchange.answer}]
        for position in order(len(rows), 0)
        for exchange in rows[position].exchanges
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"messages": messages}), folder / "rows.parquet")
    plain = folder / "plain"
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tokenizer.save_pretrained(plain)
    # It would put a token of its own in front of every text.
    file = plain / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "post_processor": None}))
    return {
        "hf_path": "parquet",
        "hf_train_files": str(folder / "rows.parquet"),
        "train_split": "train",
        "train_data_columns": "['messages']",
        "enable_data_shuffling": "False",
        "num_epoch": "1",
        "tokenizer_path": str(plain),
        "tokenizer_type": "huggingface",
    }


def main(mount: Path, folder: Path) -> None:
    """Write, and print the settings."""
    storage = Storage(mount)
    conversations = read_conversations(TrainData(kind="OriginalDataset", dataset="prepare"), storage)
    renderer = Renderer.load(model_of(storage, "fetch-student"))
    print(json.dumps(write_own(conversations, renderer.tokenizer, folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
