"""What a worker does, how it stands, and how its queue does: counted, told over HTTP, and kept for charts."""
