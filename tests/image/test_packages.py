from bondmate_image import packages

LISTED = """Package: zstd
Version: 1.5.7
Architecture: arm64
Description: fast compressor
 Package: not this one
SHA256: aa

Package: adduser
Version: 3.152
Architecture: all
SHA256: bb

Package: adduser
Version: 3.152
Architecture: all
SHA256: bb
"""


def test_a_list_is_read_by_name_and_once() -> None:
    assert packages.read_list(LISTED) == (
        packages.DebianPackage("adduser", "3.152", "all", "bb"),
        packages.DebianPackage("zstd", "1.5.7", "arm64", "aa"),
    )
