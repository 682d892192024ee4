"""Explanations of a finished run: what the model reads in the reviews."""
