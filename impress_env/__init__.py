"""IMPRESS Env: Gymnasium environments for intrinsic value misalignment."""
