"""A trained model to masks, and masks to scores."""
