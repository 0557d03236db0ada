"""The steps of the protocol in words, as progress names them."""

STEPS = {
    "survey": "taking stock",
    "digest": "hashing",
    "fence": "common extent",
    "withdraw": "withdrawing",
    "data": "data",
    "array": "array metadata",
    "group": "group metadata",
    "root": "root metadata",
    "retire": "retiring",
    "check": "checking bytes",
}
