"""Runtime of every command: command line, errors, console, devices, run folder, checkpoints."""
