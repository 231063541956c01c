"""Imported before anything else by bondmated: keeps the ssl module out of a process that never speaks TLS.

asyncio and aiohttp do without it, and it takes four megabytes of a budget of 64. Where it is loaded already, it stays.
"""

import sys

sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # None makes "import ssl" an ImportError (PEP 328)
