"""The subcommands of `lassl`: each module has add(subparsers), and run(arguments), which gives the exit code."""
