"""Infrastructure that no figure depends on: files, errors, progress, machine, hashes of code."""
