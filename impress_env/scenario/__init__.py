"""Scenario families: data files, slots, templates, twins, framings, oracle, instances. Nothing in them is executed."""
