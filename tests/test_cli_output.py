"""Standard output whose reader is slow loses nothing."""

import os
import threading

from normlab.cli.output import Output


def test_a_reader_that_is_slow_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    output = Output(writing, is_open=True)
    content, received = b"x" * 300_000, bytearray()

    def read() -> None:
        while part := os.read(reading, 65536):
            received.extend(part)

    reader = threading.Timer(0.05, read)
    reader.start()
    left = memoryview(content)
    while left:
        left = left[output.write(left) :]
    os.close(writing)
    reader.join()
    os.close(reading)
    assert output.error is None
    assert received == content
