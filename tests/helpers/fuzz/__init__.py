"""Files from outside, mutated: an answer or an error of the project's, in bounded time and memory."""
