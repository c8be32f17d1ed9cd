"""The marked places of README.md and docs/, from metrics/, the code and conf/."""
