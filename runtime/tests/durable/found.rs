//! Histories that have shown a fault, shrunk; each test says which.

use crate::clients::Goes::*;
use crate::deaths::Point::*;
use crate::history::play;
use crate::steps::Step::*;

/// Its session was not on disk yet: it was told that the controller does not know it.
#[test]
fn a_client_that_was_let_in_a_moment_before_the_power_failed_is_known_afterwards() {
    play(0, &[LosePower { at: 45415, hole: false, arrive: 0 }]);
    play(3, &[LosePower { at: 0, hole: false, arrive: 0 }, Return, Connect(13), Cut(1), Exchange(61)]);
}

/// The refusal of the connection before came before the welcome, which waited for the disk. The peer took it for its own.
#[test]
fn a_hello_that_comes_right_behind_another_one_is_answered_before_that_one_is_refused() {
    play(0, &[Cut(3), Connect(31), Cut(11), Connect(123), Gather]);
}

/// This is no fault: the answer that it was given up is lost with the power, and the abort comes again after it has begun.
#[test]
fn what_was_given_up_and_is_queued_again_after_a_loss_of_power_may_run_and_has_one_answer() {
    let submit = Submit { client: 223, goes: Anywhere(0), function: false };
    let abort = Abort { client: 7, all: false, all_clients: false };
    let die = Die { point: BeforeWrite, arrive: 0 };
    play(0, &[submit, abort, die, Return, Exchange(107), LosePower { at: 43762, hole: false, arrive: 0 }]);
}
