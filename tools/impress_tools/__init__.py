"""The toolkits that ship with IMPRESS Env: one app per file. They know nothing of scenarios or oracles."""
