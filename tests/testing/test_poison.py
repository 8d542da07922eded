from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from nmdl_bench.backends import get_backend
from nmdl_bench.testing import PoisonBackend
from nmdl_bench.testing.poison import DONATED, DonationError

U = np.arange(1.0, 5.0)
M = np.arange(1.0, 7.0).reshape(2, 3)
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "axpy": (2.0, U, U), "aypx": (2.0, U, U), "axpby": (2.0, U, 3.0, U), "scale": (2.0, U),
    "addmm": (M, np.eye(2), M), "set_row": (M, 0, U[:3]), "set_column": (M, 0, U[:2]), "record": (M, 0, U[:3]),
    "put": (M, 0, U[:3], True),
    "act_tanh": (M,), "act_relu": (M,), "act_leaky_relu": (M, 0.25), "act_softplus": (M,), "softmax": (M,),
}  # fmt: skip


@pytest.mark.parametrize("verb", DONATED)
def test_only_the_donated_argument_is_poisoned(verb: str) -> None:
    xp, plain = PoisonBackend(), get_backend("numpy")
    args = [np.array(a) if isinstance(a, np.ndarray) else a for a in ARGUMENTS[verb]]
    expected = getattr(plain, verb)(*(np.array(a) if isinstance(a, np.ndarray) else a for a in args))
    np.testing.assert_array_equal(getattr(xp, verb)(*args)[0], expected[0])
    for i, (arg, before) in enumerate(zip(args, ARGUMENTS[verb])):
        if i == DONATED[verb]:
            assert np.isnan(arg).all()
        else:
            np.testing.assert_array_equal(arg, before)


def test_every_verb_that_says_it_donates_is_poisoned() -> None:
    from nmdl_bench.backends.base import Backend

    verbs = {name: getattr(Backend, name, None) for name in dir(Backend)}
    says = {name for name, verb in verbs.items() if callable(verb) and "; donates ``" in (verb.__doc__ or "")}
    assert says | {"while_loop", "softmax"} == {*DONATED, "while_loop"}


def test_use_after_donation_shows() -> None:
    xp = PoisonBackend()

    def wrong(xp: Any, x: Any, g: Any) -> Any:
        xp.axpy(-0.1, g, x)
        return xp.dot(x, x)  # reads what was donated: right on NumPy, stale on JAX

    assert np.isfinite(wrong(get_backend("numpy"), U.copy(), U.copy()))
    assert np.isnan(wrong(xp, U.copy(), U.copy()))


def test_a_view_of_what_was_donated_shows() -> None:
    xp = PoisonBackend()
    theta = xp.asarray(np.arange(6.0))
    xp.scale(2.0, theta[:3])
    assert np.isnan(xp.to_numpy(theta)).tolist() == [True] * 3 + [False] * 3


def test_read_only_data_may_not_be_donated() -> None:
    x = U.copy()
    x.setflags(write=False)
    with pytest.raises(DonationError, match=r"scale is given a read-only array of shape \(4,\)"):
        PoisonBackend().scale(2.0, x)


class Pair(NamedTuple):
    x: Any
    g: Any


def test_donated_states_are_poisoned() -> None:
    xp = PoisonBackend()
    state = {"pair": Pair(U.copy(), 2 * U), "k": np.arange(3), "none": None, "f": 1.0}
    step = xp.compile(lambda a, state: state | {"f": 2.0}, donate=(1,))
    fresh = step(0.5, state)
    np.testing.assert_array_equal(fresh["pair"].g, 2 * U)
    assert fresh["f"] == 2.0
    assert np.isnan(state["pair"].x).all()
    np.testing.assert_array_equal(state["k"], np.arange(3))  # integers are left alone
    looped = xp.while_loop(lambda s: s["f"] < 4, lambda s: s | {"f": s["f"] + 1}, fresh)
    assert np.isnan(fresh["pair"].g).all()
    np.testing.assert_array_equal(looped["pair"].x, U)


def test_a_state_may_not_hold_memory_twice() -> None:
    xp, x = PoisonBackend(), U.copy()
    step = xp.compile(lambda state: state, donate=(0,))
    for alias in (x, x[1:3], x.reshape(2, 2)):
        with pytest.raises(DonationError, match="share memory"):
            step(Pair(x, alias))
    with pytest.raises(DonationError, match="while_loop is given a state"):
        xp.while_loop(lambda state: False, lambda state: state, Pair(x, x))
