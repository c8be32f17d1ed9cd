"""The runs that params.yaml asks for: which are made, made side by side, and brought together from elsewhere."""
