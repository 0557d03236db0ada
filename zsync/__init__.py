"""zsync."""
