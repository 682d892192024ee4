"""Pages of HTML and Markdown, and their figures."""
