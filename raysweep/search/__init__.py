"""What to try next and what to stop: the rules of a search, free of Ray and of training."""
