"""The model card of a head, and the tables, picture and page of its predictions."""
