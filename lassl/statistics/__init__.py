"""The uncertainty of a table's figures, with respect to new patients and new trainings."""
