"""Pseudonyms for names of subjects and recordings, and sources that give no others away."""
