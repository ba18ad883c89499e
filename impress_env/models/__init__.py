"""The providers that ship with IMPRESS Env, and what wraps around any model. Importing one loads no SDK."""
