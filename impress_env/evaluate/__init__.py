"""Runs over many episodes: certificates, stores, rates, statistics, reports."""
