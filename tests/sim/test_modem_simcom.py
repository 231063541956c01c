from bondmate_sim.modem_effects import PortGone
from tests.sim.modem_bench import Bench
from tests.sim.test_modem_simcom_sockets import opened


def test_the_cell_in_its_own_words() -> None:
    bench = Bench(dialect="simcom", rsrp_dbm=-95)
    # tenths of dB and dBm; 20 is 2 * 20 - 20 = 20 dB of SINR
    assert bench.ask("AT+CPSI?") == (
        "+CPSI: LTE,Online,001-01,0x1A2B,27440068,318,EUTRAN-BAND3,1300,5,5,-120,-950,-670,20\r\n\r\nOK"
    )
    bench.suffer("registration", state="searching")
    assert bench.ask("AT+CPSI?") == "+CPSI: NO SERVICE,Online\r\n\r\nOK"
    bench.tell("AT+CFUN=4")
    assert bench.ask("AT+CPSI?") == "+CPSI: NO SERVICE,Offline\r\n\r\nOK"


def test_it_switches_itself_off() -> None:
    bench = opened()
    assert bench.ask("AT+CPOF") == "OK\r\n\r\nNORMAL POWER DOWN"
    assert bench.taken(PortGone) == [PortGone(abrupt=False)]
