"""The network, and where and in which number format it runs."""
