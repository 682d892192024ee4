"""What a finished run reads in the reviews, and its report."""
