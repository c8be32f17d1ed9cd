"""What methods are made of: the base class of all algorithms, losses, ramps."""
