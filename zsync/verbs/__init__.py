"""The verbs: each reads like the protocol."""
