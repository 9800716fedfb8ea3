"""The programs of the stages: one module per stage, plus storage (markers, publication) and reporting.

``python -m distillation_stages`` runs the program that ``STAGE_SPEC`` names.
"""
