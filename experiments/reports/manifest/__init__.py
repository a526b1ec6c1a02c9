"""What ``experiments.check_import`` measures, judges and says."""
