"""Models in Hugging Face format: their files, templates and cards."""
