"""A run is asked to stop: once politely, twice at once."""

import signal
import threading

import pytest

from jaxlab.train.stopping import SIGNALS, Stopping


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noticed_and_the_second_one_is_as_ever(number, capfd):
    before = signal.getsignal(number)
    with Stopping() as stopping:
        assert not stopping.after(1)
        signal.raise_signal(number)
        assert stopping.after(2)
        assert stopping.received == number
        again = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        assert signal.getsignal(number) is again
    assert signal.getsignal(number) is before
    assert "a second signal stops at once" in capfd.readouterr().err


def test_in_another_thread_nothing_is_noticed():
    found = []

    def run():
        with Stopping() as stopping:
            found.append((stopping.after(1), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=run)
    before = signal.getsignal(signal.SIGTERM)
    thread.start()
    thread.join()
    assert found == [(False, before)]
