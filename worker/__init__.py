"""How commands are carried out; read `executor.py` first."""
