"""A stage program for a small model of an architecture of which MaxText has fixed sizes only.

The product refuses such a model. What is to be tested is MaxText's conversion of the architecture, which the product
takes in its public sizes, too large for a test: so the sizes of one name are entered as those of the small model, both
in our table and in MaxText's, and travel with the checkpoint as those of families do. All else is the program as it is.
"""

import json
import os
import runpy
from dataclasses import replace
from pathlib import Path

VARIABLE = "SMALL_SIZES"
"""JSON: the ``name`` of MaxText's, the small model's ``config``, and MaxText's ``settings`` of its sizes."""


def main() -> None:
    """Enter the sizes and run the program that ``STAGE_SPEC`` names."""
    from distillation_stages.maxtext import families, known_models
    from distillation_stages.models.model_config import HuggingFaceConfig

    told = json.loads(os.environ[VARIABLE])
    name, settings = told["name"], told["settings"]
    known = known_models.KNOWN
    assert isinstance(known, dict)
    known[name] = replace(known[name], shape=known_models.shape_of(told["config"]))
    as_it_is = families.fill_tables

    def fill_tables(model: str, config: HuggingFaceConfig, directory: Path) -> families.Settings:
        import transformers
        from maxtext.checkpoint_conversion.utils import hf_model_configs

        hf_model_configs.HF_MODEL_CONFIGS[name] = transformers.AutoConfig.for_model(**config)
        return {**as_it_is(model, config, directory), "override_model_config": True, **settings}

    families.fill_tables = fill_tables
    runpy.run_module("distillation_stages", run_name="__main__")


if __name__ == "__main__":
    main()
