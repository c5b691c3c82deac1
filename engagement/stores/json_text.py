"""JSON as the engines write it: compact, in UTF-8, one spelling for one value."""

import json

# check_circular: what events hold comes from JSON or from records, neither of which can hold itself.
as_text = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode
