"""Measurements of the product that need more than the evaluator's one module."""
