"""Class prototypes for zero-shot evaluation, from videos or from names."""
