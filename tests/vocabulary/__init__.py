"""What five well-known introductions to SQLAlchemy show, each thing as a command: one file for each.

What needs more than a database is elsewhere: typed into shells, in a notebook and behind FastAPI (get_db's place,
the Annotated dependency, lifespan) in tests/integration/test_examples*.py, the step-by-step demo in test_demo.py.
"""
