"""The report: one page of a profile's table, cases, curves, masks and surfaces that opens from disk."""
