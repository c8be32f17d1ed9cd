"""The network, and the device and number format that it runs in."""
