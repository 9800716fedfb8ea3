"""The operator that turns one DistillationJob into a distilled student model.

Imports go one way: ``controller -> manifests -> pipeline -> api``. ``api``, ``pipeline`` and ``manifests`` do no I/O
and read neither clock nor environment.
"""

__version__ = "0.1.0"
