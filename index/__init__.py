"""Chunks to a searchable generation on disk, and questions to hits."""
