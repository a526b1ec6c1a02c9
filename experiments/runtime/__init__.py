"""What every command runs on: command line, errors, console, devices, run folder, checkpoints."""
