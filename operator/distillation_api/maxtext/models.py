"""The models that MaxText 0.2.3 both trains and converts from and to Hugging Face, by its own names.

From its configuration's ``ModelName`` and its conversion tables, and the names of the families that the converter sizes
by a checkpoint's config.json; a test compares them with the installed MaxText. A name that it lacks would only be found
out when the conversion runs, while a teacher already generates on TPUs.
"""

from typing import Literal

MaxTextModel = Literal[
    "deepseek2-16b", "deepseek3-671b", "deepseek3.2-671b", "gemma2-27b", "gemma2-2b", "gemma2-9b", "gemma3-12b",
    "gemma3-27b", "gemma3-4b", "gemma4-26b", "gemma4-31b", "gemma4-e2b", "gemma4-e4b", "gpt-oss-120b",
    "gpt-oss-20b", "llama2-13b", "llama2-70b", "llama2-7b", "llama3-70b", "llama3-8b", "llama3.1-405b",
    "llama3.1-70b", "llama3.1-8b", "llama3.1-8b-Instruct", "llama3.3-70b", "mixtral-8x22b", "mixtral-8x7b",
    "olmo3-32b", "olmo3-7b", "olmo3-7b-pt", "qwen2.5-1.5b", "qwen2.5-14b", "qwen2.5-7b", "qwen3-0.6b",
    "qwen3-1.7b", "qwen3-1.7b-base", "qwen3-14b", "qwen3-14b-base", "qwen3-235b-a22b", "qwen3-30b-a3b",
    "qwen3-30b-a3b-base", "qwen3-32b", "qwen3-480b-a35b", "qwen3-4b", "qwen3-4b-base", "qwen3-4b-thinking-2507",
    "qwen3-8b", "qwen3-8b-base", "qwen3-next-80b-a3b", "qwen3-omni-30b-a3b", "qwen3.5-35b-a3b",
    "qwen3.5-397b-a17b",
]  # fmt: skip
