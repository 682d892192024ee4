"""The command ``doctor``: whether everything is there and works, told so that it can be mended."""
