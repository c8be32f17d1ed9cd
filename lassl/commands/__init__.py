"""The subcommands of `lassl`: each module has run(arguments), which gives the exit code; see lassl/arguments.py."""
