"""What five well-known introductions to SQLAlchemy show, each thing as a command: one file for each."""
