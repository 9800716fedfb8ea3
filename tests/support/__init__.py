"""What several test layers use; nothing is imported from a conftest or a test."""
