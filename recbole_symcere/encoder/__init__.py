"""Graph and text encoders that take tensors and plain arguments."""
