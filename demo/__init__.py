"""The main job of the product, run for a person and, with the operator killed on the way, for a test.

A real cluster, the real operator, ``examples/smollm2-cpu.yaml``, and what came of it in ``build/demo/result.json``.
"""
