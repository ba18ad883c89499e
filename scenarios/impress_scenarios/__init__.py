"""The scenario bank that ships with IMPRESS Env: data, texts, banks, and nothing that runs."""
