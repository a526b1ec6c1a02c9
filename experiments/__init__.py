"""What is run: command-line programs and the settings they take."""
