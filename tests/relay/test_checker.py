"""The checker finds what is planted."""

from relay.checker import Arrived, Batch, Doubt, Final, Submitted, check

ANNA, BOB = "anna@example.net", "bob@example.net"
SENT = [Submitted("1", (ANNA, BOB), "d1", 250), Submitted("2", (ANNA,), "d2", 250)]
CAME = [Arrived("1", ANNA, "d1"), Arrived("1", BOB, "d1"), Arrived("2", ANNA, "d2")]
DONE = [Final("1", ANNA, "delivered"), Final("1", BOB, "delivered"), Final("2", ANNA, "delivered")]


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    found = check(SENT, CAME, [], DONE)
    assert found.bad == {}
    assert (found.accepted, found.delivered, found.duplicated, found.recovered) == (3, 3, 0, 0)


def test_a_loss() -> None:
    assert check(SENT, CAME[:2], [], DONE[:2]).bad == {"lost": (("2", ANNA),)}
    assert check(SENT, [CAME[0], CAME[2]], [], []).bad == {"lost": (("1", BOB),)}


def test_a_loss_that_is_called_delivered() -> None:
    assert check(SENT, CAME[:2], [], DONE).bad == {"lost": (("2", ANNA),), "false_final": (("2", ANNA),)}


def test_a_failure_counts_only_with_its_report() -> None:
    finals = [*DONE[:2], Final("2", ANNA, "failed")]
    assert check(SENT, CAME[:2], [], finals).bad == {"lost": (("2", ANNA),)}
    assert check(SENT, [*CAME[:2], Arrived("2", "app@example.org", report=True)], [], finals).bad == {}


def test_held_is_not_lost() -> None:
    assert check(SENT, CAME[:2], [], [*DONE[:2], Final("2", ANNA, "held")]).bad == {}


def test_a_second_copy() -> None:
    assert check(SENT, [*CAME, CAME[0]], [], DONE).bad == {"unexplained": (("1", ANNA),)}


def test_a_second_copy_that_was_spoken_of() -> None:
    found = check(SENT, [*CAME, CAME[0], CAME[1]], [Doubt("1", "DUP-MARK")], DONE)
    assert found.bad == {}
    assert (found.duplicated, found.windows) == (2, {"DUP-MARK": 1})


def test_one_doubt_does_not_explain_two_more_copies() -> None:
    found = check(SENT, [*CAME, CAME[0], CAME[0]], [Doubt("1", "DUP-MARK")], DONE)
    assert found.bad == {"unexplained": (("1", ANNA),)}


def test_aliens() -> None:
    others = [
        Arrived("9", ANNA, "d9"),
        Arrived("2", BOB, "d2"),
        Arrived("2", ANNA, "d1"),
        Arrived("9", ANNA, report=True),
    ]
    for alien in others:
        assert "unexpected" in check(SENT, [*CAME, alien], [Doubt("2", "DUP-REPLY")], DONE).bad


def test_what_was_refused_must_not_arrive() -> None:
    sent = [*SENT, Submitted("3", (ANNA,), "d3", 550)]
    assert "unexpected" in check(sent, [*CAME, Arrived("3", ANNA, "d3")], [], DONE).bad


def test_no_answer_allows_either() -> None:
    sent = [*SENT, Submitted("3", (ANNA,), "d3", 451), Submitted("4", (ANNA,), "d4")]
    assert check(sent, CAME, [], DONE).bad == {}
    found = check(sent, [*CAME, Arrived("3", ANNA, "d3"), Arrived("4", ANNA, "d4")], [], DONE)
    assert (found.bad, found.recovered) == ({}, 2)


def test_what_still_waits() -> None:
    assert "undrained" in check(SENT, CAME, [], [*DONE, Final("5", ANNA, "deferred")]).bad


def test_a_batch_of_which_only_the_number_of_answers_is_known() -> None:
    sent = [Submitted(str(number), (ANNA,)) for number in range(5)]
    batch = Batch(frozenset("01234"), acknowledged=3)
    came = [Arrived("0", ANNA), Arrived("3", ANNA), Arrived("4", ANNA)]
    assert check(sent, came, [], [], [batch]).bad == {}
    assert len(check(sent, came[:2], [], [], [batch]).lost) == 1
