"""What the shop does in the background."""
