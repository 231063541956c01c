from bondmate_sim.modem_links import MAX_BUFFER_OCTETS, Link, Received

PEER = ("192.0.2.7", 5683)


def test_datagrams_stay_apart_and_in_order_and_are_announced_once() -> None:
    link = Link(1, PEER)
    assert link.keep(Received(b"first", PEER))
    assert not link.keep(Received(b"abcdef", ("192.0.2.8", 1)))
    assert link.take(100) == Received(b"first", PEER)
    assert link.take(3) == Received(b"abc", ("192.0.2.8", 1))
    assert not link.keep(Received(b"third", PEER)), "not all is read"
    assert [link.take(100), link.take(100), link.take(100)] == [
        Received(b"def", ("192.0.2.8", 1)), Received(b"third", PEER), None,
    ]  # fmt: skip
    assert (link.read, link.unread) == (16, 0)
    assert link.keep(Received(b"", PEER))


def test_what_does_not_fit_is_lost_and_what_fits_later_is_kept() -> None:
    link = Link(1, PEER)
    assert link.keep(Received(bytes(MAX_BUFFER_OCTETS), PEER))
    assert not link.keep(Received(b"x", PEER))
    link.take(1)
    link.keep(Received(b"y", PEER))
    assert link.unread == MAX_BUFFER_OCTETS
