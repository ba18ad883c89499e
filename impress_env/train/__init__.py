"""Training: a policy for the discrete twins, and constraints. Needs the extra `train` where it says so."""
