"""Texts as tokens and vectors: encoders by Hugging Face, their pooling, caches of both."""
