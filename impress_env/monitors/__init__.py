"""The monitors that ship with IMPRESS Env."""
