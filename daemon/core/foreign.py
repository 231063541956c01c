"""What speaks on a line where NMEA 0183 was expected, told by its octets. Pure."""

import re

_TOLD = 2
"""So many signs of a protocol tell it; one may be chance."""
_SIGNS = (
    # where a frame begins, and what of its head has bounds: class, or the higher octet of a length
    ("u-blox's binary protocol (UBX)", re.compile(rb"\xb5\x62[\x01-\x29\xf0\xf1]..[\x00-\x07]", re.DOTALL)),
    ("SiRF's binary protocol", re.compile(rb"\xa0\xa2[\x00-\x07]")),
    ("SkyTraq's binary protocol", re.compile(rb"\xa0\xa1[\x00-\x07]")),
    ("Casic's binary protocol", re.compile(rb"\xba\xce.[\x00-\x07]", re.DOTALL)),
    ("MediaTek's binary protocol", re.compile(rb"\x04\x24.[\x00-\x01]", re.DOTALL)),
    ("RTCM 3 corrections", re.compile(rb"\xd3[\x00-\x03].[\x3e-\x67]", re.DOTALL)),
    ("Trimble's or Garmin's binary protocol", re.compile(rb"\x10\x03\x10")),
    ("NovAtel's binary protocol", re.compile(rb"\xaa\x44[\x12\x13]")),
    ("a ship's radio (AIS)", re.compile(rb"!(?:AI|BS)VD[MO],")),
    ("a modem (AT commands)", re.compile(rb"\+C[A-Z]{2,6}:|\+QIND:|RDY|AT\+|OK(?=AT)")),
    ("a computer's console", re.compile(rb"login:|U-Boot|Linux version|\$ \$|# #")),
    ("gpsd's JSON", re.compile(rb'\{"class":')),
)


def recognize(noise: bytes) -> str | None:
    """Whose octets they are, in words, or None. `noise` is what held no sentence, without the ends of lines."""
    counts = [(len(sign.findall(noise)), name) for name, sign in _SIGNS]
    most, name = max(counts, key=lambda each: each[0])
    return name if most >= _TOLD else None
