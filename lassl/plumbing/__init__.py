"""What the project stands on and no figure depends on: files, errors, progress, machine, hashes of code."""
