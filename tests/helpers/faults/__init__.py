"""Commands that are killed, starved and cut off on purpose, at random moments, and must end as if nothing had been."""
