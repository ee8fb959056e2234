"""The command line of a producer: one module per sub-command, and what they share."""
