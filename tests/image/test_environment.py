from bondmate_image import environment
from tests.conftest import TOP

PINNED = """# locked
systemd-python==235 ; sys_platform == 'linux' \\
    --hash=sha256:aa
    # via bondmate
systemd-python-extra==1 \\
    --hash=sha256:bb
yarl==1.25.1 \\
    --hash=sha256:cc
"""


def test_a_package_is_left_out_with_its_hashes() -> None:
    assert environment.without(PINNED, {"systemd-python"}) == (
        "# locked\nsystemd-python-extra==1 \\\n    --hash=sha256:bb\nyarl==1.25.1 \\\n    --hash=sha256:cc\n"
    )


def test_what_debian_brings_is_pinned_under_the_same_name() -> None:
    pinned = (TOP / "requirements/device.txt").read_text()
    left = environment.without(pinned, {"systemd-python"})
    assert len(pinned.splitlines()) - len(left.splitlines()) >= 2
    assert "systemd-python==" not in left
