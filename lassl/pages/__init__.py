"""Pages of docs/ and README that hold figures: written from metrics/."""
