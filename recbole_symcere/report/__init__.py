"""Pages and figures that the commands write."""
