"""Building blocks of methods: the base class of all algorithms, losses, ramps."""
