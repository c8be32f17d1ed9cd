"""From a trained model to masks, and from masks to scores."""
