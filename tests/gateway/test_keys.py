import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bondmate_sim.gateway import keys


def test_the_key_is_made_once_and_loaded_from_then_on(tmp_path: Path) -> None:
    made, loaded = keys.load_or_create(tmp_path), keys.load_or_create(tmp_path)
    assert isinstance(made.curve, ec.SECP256R1)
    assert loaded.private_numbers() == made.private_numbers()
    assert stat.S_IMODE((tmp_path / "signing-key.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [b"", b"no key", keys.private_pem(ec.generate_private_key(ec.SECP384R1()))],
    ids=["empty", "text", "P-384"],
)
def test_a_file_that_holds_no_such_key_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "signing-key.pem").write_bytes(content)
    with pytest.raises(keys.KeyFileError, match=r"signing-key\.pem"):
        keys.load_or_create(tmp_path)


def test_public_keys_are_subject_public_key_info() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert serialization.load_pem_public_key(keys.public_pem(key).encode()) == key
