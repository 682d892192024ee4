"""Recommendations out of a finished run."""
