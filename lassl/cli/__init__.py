"""The command `lassl`."""
