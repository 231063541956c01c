"""Imported before anything else by bondmated: keeps out of a process with a budget of 64 MB what it never uses.

asyncio and aiohttp do without ssl, which takes four megabytes, in a process that never speaks TLS. hashlib and hmac
have hashes of their own, and need OpenSSL's for none of ours: its library is three megabytes more, beside the one that
is in cryptography. What is loaded already stays.
"""

import sys

for name in ("ssl", "_hashlib"):
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # None makes the import an ImportError (PEP 328)
