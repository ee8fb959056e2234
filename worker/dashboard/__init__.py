"""The dashboard: what a person on call sees of a queue, and what they can do about it, in a browser."""
