"""The HTTP API of `smtpapi web`, below `/api/v1`, as SparkPost's clients speak it (contract.md 8).

`register` puts it into the application: a blueprint a topic, `access` and `gate` before all of them, `errors`
behind. Nothing is answered without a key but the description of the API itself.
"""
