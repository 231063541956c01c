"""A board's TPM 2.0: swtpm, which QEMU shows to the board.

Debian's kernel for arm64 has drivers for TPMs on SPI and I2C, and none for the place where QEMU shows one (TCG PC
Client Platform TPM Profile, FIFO interface). So a program in the guest speaks to it, and hands its kernel a TPM
(vtpm_proxy).
"""

import subprocess
import time
from pathlib import Path

RELAY = """
import fcntl, mmap, os, struct, subprocess, time
subprocess.run(["modprobe", "tpm_vtpm_proxy"], check=True)
made = bytearray(struct.pack("=5I", 1, 0, 0, 0, 0))
fcntl.ioctl(os.open("/dev/vtpmx", os.O_RDWR), 0xC014A100, made)
kernel = struct.unpack("=5I", made)[2]
at = mmap.mmap(os.open("/dev/mem", os.O_RDWR | os.O_SYNC), 0x1000, offset=0x0C000000)
ACCESS, STATUS, DATA = 0x00, 0x18, 0x24

def wait(register, bits):
    while at[register] & bits != bits:
        time.sleep(0.001)

def ask(command):
    at[ACCESS] = 0x02
    wait(ACCESS, 0x20)
    at[STATUS] = 0x40
    wait(STATUS, 0x40)
    for octet in command:
        at[DATA] = octet
    at[STATUS] = 0x20
    wait(STATUS, 0x90)
    answer = bytes(at[DATA] for _ in range(10))
    answer += bytes(at[DATA] for _ in range(int.from_bytes(answer[2:6], "big") - 10))
    at[STATUS] = 0x40
    return answer

while command := os.read(kernel, 4096):
    # the proxy's own command, to choose a locality, is not for the TPM
    own = command[6:10] == bytes.fromhex("20001000")
    os.write(kernel, bytes.fromhex("80010000000a00000000") if own else ask(command))
"""

UNIT = """[Unit]
DefaultDependencies=no
[Service]
ExecStart=/usr/bin/python3 -I /run/credentials/@system/relay
"""

SOCKET = "swtpm"

OPTIONS = (
    *("-chardev", f"socket,id=tpm,path=/folder/{SOCKET}", "-tpmdev", "emulator,id=tpm,chardev=tpm"),
    *("-device", "tpm-tis-device,tpmdev=tpm"),
)
"""QEMU's; /folder is the machine's."""


def start(state: Path, folder: Path) -> "subprocess.Popen[bytes]":
    """Start a TPM with what it keeps in `state`; it ends when the board is off."""
    state.mkdir(exist_ok=True)
    socket = folder / SOCKET
    socket.unlink(missing_ok=True)
    ends = ("--tpmstate", f"dir={state}", "--ctrl", f"type=unixio,path={socket}")
    running = subprocess.Popen(["swtpm", "socket", "--tpm2", "--terminate", *ends], stdin=subprocess.DEVNULL)
    while not socket.exists():
        assert running.poll() is None, f"swtpm ended with {running.returncode}"
        time.sleep(0.05)
    return running
