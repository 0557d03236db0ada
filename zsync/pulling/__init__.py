"""Bring what is published to this machine: a publish the other way."""
