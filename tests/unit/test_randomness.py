"""Python's global generator, lent to one thread at a time."""

import random
import threading

from xnas_tf.utils.randomness import own_generator, uninterrupted


def test_what_is_drawn_depends_on_the_seed_alone_and_leaves_no_trace():
    random.seed(1)
    expected = [random.random() for _ in range(4)]
    random.seed(1)
    drawn = [random.random(), random.random()]
    with own_generator(5):
        first = random.random()
    with own_generator(5):
        assert random.random() == first
    assert drawn + [random.random(), random.random()] == expected


def test_another_thread_waits_until_a_model_is_built():
    order, has_begun = [], threading.Event()

    def borrow():
        has_begun.set()
        with own_generator(5):
            order.append("borrowed")

    thread = threading.Thread(target=borrow)
    with uninterrupted():
        random.seed(1)
        thread.start()
        has_begun.wait()
        drawn = random.random()
        order.append("built")
    thread.join()
    random.seed(1)
    assert drawn == random.random() and order == ["built", "borrowed"]
