"""params.yaml: composed from conf/, checked and read; which file of conf/ a value comes from."""
