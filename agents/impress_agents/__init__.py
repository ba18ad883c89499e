"""The agents that ship with IMPRESS Env: one per file."""
