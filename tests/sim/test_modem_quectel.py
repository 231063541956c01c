from bondmate_sim.modem_effects import CloseSocket, PortGone
from tests.sim.modem_bench import Bench
from tests.sim.test_modem_quectel_sockets import opened


def test_signal_and_network_in_its_own_words() -> None:
    bench = Bench(rsrp_dbm=-95)
    # SINR 20 dB is 200 fifths above -20 dB
    assert bench.ask("AT+QCSQ") == '+QCSQ: "LTE",-67,-95,200,-12\r\n\r\nOK'
    assert bench.ask("AT+QNWINFO") == '+QNWINFO: "FDD LTE","00101","LTE BAND 3",1300\r\n\r\nOK'
    bench.suffer("registration", state="searching")
    assert bench.ask("AT+QCSQ") == '+QCSQ: "NOSERVICE"\r\n\r\nOK'
    assert bench.ask("AT+QNWINFO") == "+QNWINFO: No Service\r\n\r\nOK"


def test_it_switches_itself_off() -> None:
    bench = opened()
    assert bench.ask("AT+QPOWD=1") == "OK\r\n\r\nPOWERED DOWN"
    assert bench.taken(PortGone) == [PortGone(abrupt=False)]
    assert bench.taken(CloseSocket) == [CloseSocket(0)]
    bench.wait(100)
    assert bench.hear(b"AT\r") == b""
