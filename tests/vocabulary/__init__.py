"""What five well-known introductions to SQLAlchemy show, each thing as a command: one file for each.

What needs more than a database is elsewhere: typed into shells, in a notebook and behind FastAPI (what stands
for get_db, the Annotated dependency, lifespan) in tests/integration/test_examples*.py, and the step-by-step
demo in test_demo.py beside them.
"""
