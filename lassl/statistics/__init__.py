"""How sure the figures of a table are, for other patients and for other trainings."""
