"""Preflight: what can be known of models and prompts before an accelerator is asked for."""
