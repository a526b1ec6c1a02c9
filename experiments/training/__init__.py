"""Pretraining from settings: its data, its module, its trainer."""
