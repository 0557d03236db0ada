"""The steps of the protocol, that every verb goes through (see ARCHITECTURE)."""
