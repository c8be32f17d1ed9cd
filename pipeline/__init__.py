"""One module per DVC stage, and what makes several runs at once or elsewhere."""
