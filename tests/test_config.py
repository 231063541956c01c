"""The configuration: every fault at once, with its place; and the example, which documents every key."""

import dataclasses
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bondmate import config
from bondmate.config import Configuration
from bondmate.errors import ConfigurationError
from bondmate.records import Kind

EXAMPLE = Path(__file__).parent.parent / "docs" / "bondmate.example.toml"
NEEDED = """\
[gpio]
factory = "mock"
button_pin = 17
vibration_pin = 18
led_pin = 27

[gnss]
port = "/dev/ttyAMA0"
"""
SECTIONS: dict[str, type] = {section.name: section.type for section in dataclasses.fields(Configuration)}  # type: ignore[misc]


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        config.parse(text, "device.toml")
    return caught.value.problems


# --- the example ---------------------------------------------------------------------------------------


def test_the_example_is_good() -> None:
    configuration, text = config.load(EXAMPLE)
    assert isinstance(configuration, Configuration)
    assert text == EXAMPLE.read_text(encoding="utf-8")


def test_the_example_has_every_key_of_every_section_and_no_other() -> None:
    document = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert {name: list(keys) for name, keys in document.items()} == {
        name: [key.name for key in dataclasses.fields(section)] for name, section in SECTIONS.items()
    }


def test_the_values_of_the_example_are_the_defaults() -> None:
    """Without the lines of the keys that have a default, the same configuration comes out."""
    needed = {
        (name, key.name)
        for name, section in SECTIONS.items()
        for key in dataclasses.fields(section)
        if key.default is dataclasses.MISSING
    }
    assert needed == {("gpio", key) for key in ("factory", "button_pin", "vibration_pin", "led_pin")} | {
        ("gnss", "port")
    }
    kept, section = [], ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        if "=" not in line or line.startswith("#") or (section, line.split("=")[0].strip()) in needed:
            kept.append(line)
    bare = "\n".join(kept)
    assert set(tomllib.loads(bare)["gpio"]) == {"factory", "button_pin", "vibration_pin", "led_pin"}
    assert "hold_s =" not in bare
    assert config.parse(bare, "bare") == config.load(EXAMPLE)[0]


def test_every_key_of_the_example_is_explained() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if "=" in line and not line.startswith("#"):
            assert "#" in line or lines[number - 1].startswith("#"), line


# --- what is allowed -----------------------------------------------------------------------------------


def test_a_file_with_what_is_needed_has_defaults_for_the_rest() -> None:
    configuration = config.parse(NEEDED, "device.toml")
    assert configuration.device.state_dir == Path("/var/lib/bondmate")
    assert (configuration.panic.hold_s, configuration.store.deadline_s) == (1.0, 0.5)
    assert (configuration.store.keep_delivered_h, configuration.delivery.race_after_s) == (72.0, 4.0)
    assert (configuration.gnss.speed_baud, configuration.clock.source) == (None, "gnss")
    assert (configuration.indicator.covert, configuration.log.level) == (True, "info")
    assert configuration.gpio == config.GpioSection(factory="mock", button_pin=17, vibration_pin=18, led_pin=27)
    assert configuration.gpio.second_button_pin is None
    assert configuration.battery.path is None
    assert (configuration.gestures.hold, configuration.gestures.double) == (Kind.PANIC, None)
    assert configuration.gestures.cancel is None, "only the PIN takes an alert back"
    assert (configuration.automatic.countdown_s, configuration.automatic.man_down_s) == (30.0, 15.0)
    assert configuration.api.console_user == "bondmate-console"


def test_a_configuration_cannot_be_changed() -> None:
    configuration = config.parse(NEEDED, "device.toml")
    with pytest.raises(dataclasses.FrozenInstanceError):
        configuration.panic.hold_s = 2.0  # type: ignore[misc]


WORDS: dict[str, object] = {
    '"auto"': None, '"none"': None, "[]": (), '["gps", "galileo"]': ("gps", "galileo"),
    '"panic"': Kind.PANIC, '"assistance"': Kind.ASSISTANCE, '"medical"': Kind.MEDICAL,
    '"/sys/class/power_supply/BAT0"': Path("/sys/class/power_supply/BAT0"),
    '["+4915559999", "+1234"]': ("+4915559999", "+1234"), '"/etc/bondmate/pin"': Path("/etc/bondmate/pin"),
    '"/run/chrony.bondmate.sock"': Path("/run/chrony.bondmate.sock"),
}  # fmt: skip
"""What these values become; the others stay what they are."""


@pytest.mark.parametrize(
    ("section", "key", "good", "bad"),
    [
        ("device", "state_dir", ['"/x"', '"/with space"'], ['"x"', '""', '"/\\u0000"', '"/a\\nb"', "1"]),
        ("device", "credentials_dir", ['"/x"'], ['"./x"']),
        ("device", "runtime_dir", ['"/x"'], ['"~/x"']),
        ("panic", "hold_s", ["0.05", "1", "10", "10.0"], ["0.049", "10.1", "-1", "nan", "inf", "true", '"1"', "[1]"]),
        ("gnss", "speed_baud", ["300", "921600", '"auto"'], ["299", "921601", "9600.0", "true", '"9600"', '"Auto"']),
        ("gnss", "receiver", ['"nmea"', '"ublox"', '"quectel-pmtk"', '"quectel-pqtm"'], ['"u-blox"', "1", "[]"]),
        ("gnss", "rate_hz", ["1", "10", "5"], ["0.5", "11", "true", '"1"']),
        ("modem", "port", ['"/dev/ttyUSB2"', '"none"'], ['"ttyUSB2"', "2", '""']),
        ("modem", "speed_baud", ["9600", "921600"], ["4800", '"auto"', "true"]),
        ("modem", "apn", ['""', '"internet.example-1"'], ['"a b"', '"a\\"b"', "1", '"' + 101 * "a" + '"']),
        ("modem", "roaming", ["true", "false"], ['"yes"', "1"]),
        ("modem", "pin_file", ['"/etc/bondmate/pin"', '"none"'], ['"pin"', "1234"]),
        ("modem", "power_key_pin", ["0", "63", '"none"'], ["64", "-1", '"17"']),
        ("modem", "power_rail_pin", ["5", '"none"'], ["64", "true"]),
        ("sms", "allowed_numbers", ["[]", '["+4915559999", "+1234"]'], ['["0155"]', '"+4915559999"', '["+0155"]']),
        ("delivery", "sms_after_s", ["0", "600", "15"], ["-1", "601", "true"]),
        ("gnss", "constellations", ["[]", '["gps", "galileo"]'], ['["GPS"]', '"gps"', "[1]", '[["gps"]]', "1"]),
        ("gnss", "not_before", ["2026-01-01", '"none"'], ["2026-01-01T00:00:00Z", '"2026-01-01"', "2026", "12:00:00"]),
        ("duty", "max_h", ["0.5", "24", "14"], ["0.4", "25", "inf", "true"]),
        ("tracking", "presence_interval_s", ["30", "3600"], ["29", "3601"]),
        ("tracking", "presence_bits", ["13", "20"], ["12", "21", "16.0", "true"]),
        ("tracking", "alert_interval_s", ["1", "60"], ["0.9", "61"]),
        ("clock", "source", ['"gnss"', '"system"'], ['"GNSS"', '"none"', "1", '["gnss"]']),
        ("clock", "chrony_socket", ['"/run/chrony.bondmate.sock"', '"none"'], ['"chrony.sock"', "true", '""']),
        ("store", "deadline_s", ["0.05", "10"], ["0", "11"]),
        ("store", "keep_delivered_h", ["0", "8760", "0.5"], ["-1", "8761", "inf", "true", '"72"']),
        ("delivery", "race_after_s", ["0.5", "60"], ["0.4", "61", "nan", "false"]),
        ("gestures", "hold", ['"panic"', '"assistance"', '"medical"'], ['"none"', '"tamper"', '"Panic"', "1", "[]"]),
        ("gestures", "double", ['"panic"', '"none"'], ['"man-down"', '"exercise"', '"escalation"', "{}"]),
        ("gestures", "triple", ['"medical"', '"none"'], ['"check-in-missed"', '""', "true"]),
        ("gestures", "cancel", ['"double"', '"triple"', '"none"'], ['"hold"', '"second_double"', "2", "false"]),
        ("automatic", "countdown_s", ["5", "120", "30.5"], ["4.9", "121", "0", "true", '"30"']),
        ("automatic", "man_down_s", ["5", "120"], ["4", "120.1", "nan"]),
        ("battery", "path", ['"/sys/class/power_supply/BAT0"', '"none"'], ['"BAT0"', '""', "1"]),
        ("api", "console_user", ['"bondmate-console"', '"_x1"', '"root"'], ['"Root"', '""', '"a b"', '"1a"', "0"]),
        ("indicator", "covert", ["true", "false"], ["1", '"true"']),
        ("log", "level", ['"debug"', '"warning"'], ['"error"', '""']),
    ],
)
def test_each_key_takes_what_it_allows_and_says_what_it_found(
    section: str, key: str, good: list[str], bad: list[str]
) -> None:
    def with_value(value: str) -> str:
        if section == "gnss":
            return f"{NEEDED}{key} = {value}\n"
        return f"{NEEDED}[{section}]\n{key} = {value}\n"

    for value in good:
        found = getattr(getattr(config.parse(with_value(value), "x"), section), key)
        expected = tomllib.loads(f"value = {value}")["value"]
        assert found == WORDS.get(value, Path(expected) if section == "device" else expected)
    for value in bad:
        [problem] = problems(with_value(value))
        line = 9 if section == "gnss" else 10
        assert problem.startswith(f"device.toml:{line}: {section}.{key}: found ")
        assert ", allowed is " in problem


@pytest.mark.parametrize("value", ["-1", "64", "17.0", "true", '"17"'])
def test_a_pin_is_a_number_from_0_to_63(value: str) -> None:
    [problem] = problems(NEEDED.replace("button_pin = 17", f"button_pin = {value}"))
    assert problem.startswith("device.toml:3: gpio.button_pin: found ")
    assert problem.endswith("allowed is a whole number from 0 to 63")


@pytest.mark.parametrize("value", ['""', '"tty"', '"/dev/\\u0000"', "1"])
def test_a_port_is_an_absolute_path(value: str) -> None:
    [problem] = problems(NEEDED.replace('"/dev/ttyAMA0"', value))
    assert problem.endswith("allowed is an absolute path of a serial port")


@pytest.mark.parametrize("value", ['""', "1"])
def test_a_pin_factory_has_a_name(value: str) -> None:
    [problem] = problems(NEEDED.replace('"mock"', value))
    assert problem.startswith("device.toml:2: gpio.factory: found ")
    assert problem.endswith("allowed is the name of a gpiozero pin factory")


OPTIONAL_PINS = ("second_button_pin", "buzzer_pin", "case_pin", "power_pin", "man_down_pin")


def test_pins_must_differ() -> None:
    [problem] = problems(NEEDED.replace("led_pin = 27", "led_pin = 17"))
    assert problem == "device.toml:5: gpio.led_pin: pin 17 is that of gpio.button_pin already; all pins must differ"


@pytest.mark.parametrize("key", OPTIONAL_PINS)
def test_a_pin_that_not_every_board_has_is_a_number_or_none_and_nobody_else_s(key: str) -> None:
    def with_pin(value: str) -> str:
        return NEEDED.replace("[gnss]", f"{key} = {value}\n[gnss]")

    assert getattr(config.parse(with_pin("5"), "x").gpio, key) == 5
    assert getattr(config.parse(with_pin('"none"'), "x").gpio, key) is None
    [problem] = problems(with_pin("64"))
    assert problem.endswith('found 64, allowed is a whole number from 0 to 63, or "none"')
    [problem] = problems(with_pin("18"))
    assert problem.endswith(f"gpio.{key}: pin 18 is that of gpio.vibration_pin already; all pins must differ")


def test_every_clash_of_pins_is_told() -> None:
    found = problems(NEEDED.replace("[gnss]", "case_pin = 27\nbuzzer_pin = 17\n[gnss]"))
    assert [problem.partition(" already")[0] for problem in found] == [
        "device.toml:7: gpio.case_pin: pin 27 is that of gpio.led_pin",
        "device.toml:8: gpio.buzzer_pin: pin 17 is that of gpio.button_pin",
    ]


# --- gestures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gesture", ["double", "triple"])
def test_a_gesture_that_raises_an_alert_takes_none_back(gesture: str) -> None:
    [problem] = problems(f'{NEEDED}[gestures]\n{gesture} = "medical"\ncancel = "{gesture}"\n')
    assert problem == (
        f"device.toml:11: gestures.cancel: gestures.{gesture} raises an alert: the same gesture cannot take one back"
    )


def test_a_gesture_that_raises_nothing_may_take_an_alert_back() -> None:
    text = f'{NEEDED}[gestures]\ndouble = "medical"\ncancel = "triple"\n'
    assert config.parse(text, "x").gestures.cancel == "triple"


@pytest.mark.parametrize("key", ["second_hold", "second_double", "second_triple"])
def test_a_gesture_of_the_second_button_needs_one(key: str) -> None:
    text = f'{NEEDED}[gestures]\n{key} = "assistance"\n'
    [problem] = problems(text)
    assert problem == f"device.toml:10: gestures.{key}: there is no second button: set gpio.second_button_pin"
    made = config.parse(text.replace("[gnss]", "second_button_pin = 5\n[gnss]"), "x")
    assert getattr(made.gestures, key) is Kind.ASSISTANCE


def test_what_sections_must_agree_on_comes_with_all_other_faults() -> None:
    text = NEEDED.replace("led_pin = 27", "led_pin = 17") + '[gestures]\nhold = "none"\nsecond_hold = "panic"\n'
    assert [problem.split(": ")[1] for problem in problems(text)] == [
        "gpio.led_pin", "gestures.hold", "gestures.second_hold",
    ]  # fmt: skip


# --- enrolment -------------------------------------------------------------------------------------------


def test_by_default_a_device_is_enrolled_by_hand() -> None:
    assert config.parse(NEEDED, "x").enrolment == config.EnrolmentSection(None, None)


def test_an_enrolment_file_needs_the_key_that_signed_it_and_the_other_way_round() -> None:
    both = f'{NEEDED}[enrolment]\nfile = "/boot/firmware/e.cose"\nforce_key = "/usr/share/bondmate/force.pem"\n'
    assert config.parse(both, "x").enrolment == config.EnrolmentSection(
        Path("/boot/firmware/e.cose"), Path("/usr/share/bondmate/force.pem")
    )
    for key, missing in (("file", "force_key"), ("force_key", "file")):
        [problem] = problems(f'{NEEDED}[enrolment]\n{key} = "/x"\n')
        assert f"enrolment.{missing}: a file is believed by its signature: set both, or neither" in problem
    [problem] = problems(f'{NEEDED}[enrolment]\nfile = "x"\nforce_key = "none"\n')
    assert "enrolment.file: found 'x', allowed is an absolute path of a file, or \"none\"" in problem


# --- faults ----------------------------------------------------------------------------------------------


def test_every_fault_comes_at_once_in_the_order_of_the_file() -> None:
    text = """\
[gpio]
factory = "mock"
button_pin = 99
vibration_pin = 18

[panic]
hold_s = "long"
colour = "red"

[typo]
x = 1

[log]
level = "loud"
"""
    assert problems(text) == [
        "device.toml: gpio.led_pin: missing, allowed is a whole number from 0 to 63",
        "device.toml: gnss.port: missing, allowed is an absolute path of a serial port",
        "device.toml:3: gpio.button_pin: found 99, allowed is a whole number from 0 to 63",
        "device.toml:7: panic.hold_s: found 'long', allowed is a number from 0.05 to 10",
        "device.toml:8: panic.colour: unknown key; there are hold_s",
        f"device.toml:10: typo: unknown section or key; there are {', '.join(SECTIONS)}",
        'device.toml:14: log.level: found \'loud\', allowed is "debug" or "info" or "warning"',
    ]


@given(st.text(max_size=200))
def test_any_text_is_a_configuration_or_a_fault(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.parse(text, "device.toml")
    assert caught.value.problems
    assert not any("\n" in problem for problem in caught.value.problems)


_VALUES = st.sampled_from(["1", "-1", "1.5", "nan", "true", '"x"', '"/x"', "[]", "{}", "1979-05-27", "[[1]]"])


@given(st.lists(st.tuples(st.sampled_from([*SECTIONS, "typo"]), st.sampled_from(["hold_s", "port", "x"]), _VALUES)))
def test_any_toml_is_a_configuration_or_a_list_of_faults(lines: list[tuple[str, str, str]]) -> None:
    unique = {(section, key): value for section, key, value in lines}
    text = "".join(f"{section}.{key} = {value}\n" for (section, key), value in unique.items())
    found = problems(text)
    needed = 4 if unique.get(("gnss", "port")) == '"/x"' else 5
    assert len(found) >= needed, "what is needed is missing"
    assert all(problem.startswith("device.toml") and "\n" not in problem for problem in found)


# --- files -----------------------------------------------------------------------------------------------


def test_a_file_is_loaded_with_its_text(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_bytes(NEEDED.replace("\n", "\r\n").encode())
    configuration, text = config.load(path)
    assert configuration == config.parse(NEEDED, "x")
    assert config.parse(text, "again") == configuration


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file or directory: see docs/bondmate.example.toml"),
        (b"# \xff\n", "not UTF-8 at octet 2"),
        (b"#" * (64 * 1024 + 1), "larger than 65536 octets"),
    ],
    ids=["absent", "not UTF-8", "large"],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "device.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        config.load(path)
    [problem] = caught.value.problems
    assert problem.startswith(f"{path}: {complaint}")


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Is a directory"):
        config.load(tmp_path)


def test_the_largest_file_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text(NEEDED + "#" * (64 * 1024 - len(NEEDED)), encoding="utf-8")
    assert config.load(path)[0] == config.parse(NEEDED, "x")


def test_a_file_without_end_fills_no_memory() -> None:
    with pytest.raises(ConfigurationError, match="larger than"):
        config.load(Path("/dev/zero"))
    assert config.state_dir_of(Path("/dev/zero")) == Path("/var/lib/bondmate")


@pytest.mark.parametrize(
    ("text", "state_dir"),
    [
        ('[device]\nstate_dir = "/data/bondmate"  # on the card\n[gpio\n', "/data/bondmate"),
        ('state_dir="/x y"', "/x y"),
        ('# state_dir = "/x"\n', "/var/lib/bondmate"),
        ('state_dir = "x"\n', "/var/lib/bondmate"),
        ('state_dir = "/x\n', "/var/lib/bondmate"),
        ('state_dir = "/x\0y"\n', "/var/lib/bondmate"),
        ("", "/var/lib/bondmate"),
    ],
)
def test_the_state_directory_of_a_broken_file_is_found_if_it_can_be(tmp_path: Path, text: str, state_dir: str) -> None:
    path = tmp_path / "device.toml"
    path.write_text(text, encoding="utf-8")
    assert config.state_dir_of(path) == Path(state_dir)
    path.write_bytes(b"\xff\xfe\n" + text.encode())
    assert config.state_dir_of(path) == Path(state_dir), "also when it is not UTF-8"
    assert config.state_dir_of(tmp_path / "absent") == Path("/var/lib/bondmate")


def with_keys(*lines: str) -> str:
    return "\n".join((*BARE, *lines))


BARE = (
    "[gpio]",
    'factory = "lgpio"',
    "button_pin = 17",
    "vibration_pin = 18",
    "led_pin = 27",
    "[gnss]",
    'port = "/dev/g"',
)


def test_a_clock_that_would_be_told_its_own_time_is_refused() -> None:
    [problem] = problems(with_keys("[clock]", 'source = "system"', 'chrony_socket = "/run/c.sock"'))
    assert problem.endswith("""the system's clock would be told its own time: set clock.source = "gnss\"""")
    assert problem.startswith("device.toml:10: clock.chrony_socket: ")


def test_sms_without_a_modem_is_told() -> None:
    [problem] = problems(with_keys("[sms]", 'gateway_number = "+4915559999"'))
    assert problem == "device.toml:9: sms.gateway_number: SMS needs a modem: set modem.port"
    made = config.parse(
        with_keys("[sms]", 'gateway_number = "+4915559999"', "[modem]", 'port = "/dev/m"'), "device.toml"
    )
    assert (made.sms.gateway_number, made.modem.port) == ("+4915559999", "/dev/m")


@pytest.mark.parametrize("number", ['"0155 5999"', '"+0155"', '"+12345678901234567"', "4915559999"])
def test_a_number_that_is_none_is_told(number: str) -> None:
    found = problems(with_keys("[modem]", 'port = "/dev/m"', "[sms]", f"gateway_number = {number}"))
    assert any("allowed is a telephone number with + and the country's code" in problem for problem in found)


@pytest.mark.parametrize("label", ["pinctrl-bcm2711", "9030000.pl061", "auto"])
def test_the_chip_is_named_by_its_label(label: str) -> None:
    text = with_keys().replace('"lgpio"', f'"gpiod"\nchip = "{label}"')
    assert config.parse(text, "device.toml").gpio.chip == label


@pytest.mark.parametrize("label", ['""', "0", f'"{32 * "x"}"', '"a\\nb"'])
def test_a_chip_that_cannot_be_called_so_is_told(label: str) -> None:
    [problem] = problems(with_keys().replace('"lgpio"', f'"gpiod"\nchip = {label}'))
    assert problem.startswith("device.toml:3: gpio.chip: found ")
    assert problem.endswith('allowed is the label of a GPIO chip, or "auto"')


def test_a_chip_for_a_factory_that_takes_none_is_told() -> None:
    [problem] = problems(with_keys().replace('"lgpio"', '"lgpio"\nchip = "pinctrl-bcm2711"'))
    assert problem == 'device.toml:3: gpio.chip: the factory "lgpio" chooses its chip itself: leave this out'


def test_the_modem_s_pins_are_nobody_else_s() -> None:
    [problem] = problems(with_keys("[modem]", "power_key_pin = 17"))
    assert "must differ" in problem
