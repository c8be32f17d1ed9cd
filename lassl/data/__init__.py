"""From raw scans to a prepared cohort, and random patches of it."""
