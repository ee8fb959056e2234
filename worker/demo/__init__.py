"""The demo: servers of its own, and the story it tells with them."""
