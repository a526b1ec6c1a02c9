"""Time stamps: as text, out of order, passing midnight, repeated, in packets."""
